/* SPDX-License-Identifier: Apache-2.0 */
#include "dsm/uffd.h"

#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/utsname.h>

#define PAGEMAP_HAS_CONTENT (UINT64_C(3) << 62)
#define READ_BATCH	    16
#define COLLAPSE	    25 /* MADV_COLLAPSE, Linux 6.1; glibc 2.36 has no name for it */

/* Linux 6.8; the C library's headers are older. Source: include/uapi/linux/userfaultfd.h */
#define FEATURE_MOVE (UINT64_C(1) << 16)
struct move_request {
	uint64_t dst, src, len, mode;
	int64_t moved; /* bytes, or a negated error */
};
#define MOVE _IOWR(UFFDIO, 0x05, struct move_request)
static_assert(sizeof(struct move_request) == 40, "the kernel's struct uffdio_move");

static int open_fd(void)
{
	_cleanup_close_ int dev = open("/dev/userfaultfd", O_RDWR | O_CLOEXEC);
	int fd = -1;

	if (dev >= 0)
		fd = ioctl(dev, USERFAULTFD_IOC_NEW, O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	return fd < 0 ? -errno : fd;
}

/*
 * Until Linux 6.16 a page that was swapped out could be mistaken for another one by a move (commit
 * 0ea148a79919, "userfaultfd: fix race of userfaultfd_move and swap cache"). Releases that were
 * mended later are not told apart.
 */
static bool moves_are_sound(void)
{
	struct utsname host;
	unsigned major, minor;

	return uname(&host) == 0 && sscanf(host.release, "%u.%u", &major, &minor) == 2 &&
	       (major > 6 || (major == 6 && minor >= 16));
}

int uffd_open(int *ret, bool *moves, struct err *err)
{
	_cleanup_close_ int fd = open_fd();
	if (fd < 0)
		return err_set(err, fd,
			       "userfaultfd: %s; run as root, or give this user access to "
			       "/dev/userfaultfd (udev rule), or grant CAP_SYS_PTRACE",
			       strerror(-fd));

	struct uffdio_api api = {.api = UFFD_API,
				 .features =
					 UFFD_FEATURE_PAGEFAULT_FLAG_WP | UFFD_FEATURE_THREAD_ID};
	if (ioctl(fd, UFFDIO_API, &api) < 0)
		return err_set(err, -errno,
			       "userfaultfd: this kernel has no write-protect faults; "
			       "Linux 6.1 or later is needed");
	/* The answer names all that this kernel can, asked for or not. */
	if (moves)
		*moves = api.features & FEATURE_MOVE && moves_are_sound();
	*ret = TAKE_FD(fd);
	return 0;
}

/* The kernel returns EAGAIN while mmap_lock is wanted for a change of the address space. */
static int retried_ioctl(int fd, unsigned long request, void *arg)
{
	for (;;) {
		if (ioctl(fd, request, arg) == 0)
			return 0;
		if (errno != EAGAIN && errno != EINTR)
			return -errno;
	}
}

int uffd_register(int fd, uint64_t hva, uint64_t len)
{
	struct uffdio_register reg = {
		.range = {.start = hva, .len = len},
		.mode = UFFDIO_REGISTER_MODE_MISSING | UFFDIO_REGISTER_MODE_WP,
	};
	int r = retried_ioctl(fd, UFFDIO_REGISTER, &reg);

	if (r == 0) /* advice: a kernel without huge pages knows none */
		(void)madvise((void *)hva, len, MADV_NOHUGEPAGE);
	return r;
}

int uffd_unregister(int fd, uint64_t hva, uint64_t len)
{
	struct uffdio_range range = {.start = hva, .len = len};
	int r = retried_ioctl(fd, UFFDIO_UNREGISTER, &range);

	if (r == 0) /* advice */
		(void)madvise((void *)hva, len, MADV_HUGEPAGE);
	return r;
}

void uffd_collapse(uint64_t hva, uint64_t len)
{
	/* Advice: else the kernel's own thread may do it, or nobody. */
	(void)madvise((void *)hva, len, COLLAPSE);
}

/* The kernel may do a part, and return EAGAIN. */
int uffd_copy(int fd, uint64_t hva, const void *pages, uint64_t len, bool protect)
{
	for (uint64_t done = 0; done < len;) {
		struct uffdio_copy copy = {
			.dst = hva + done,
			.src = (uintptr_t)pages + done,
			.len = len - done,
			.mode = protect ? UFFDIO_COPY_MODE_WP : 0,
		};

		if (ioctl(fd, UFFDIO_COPY, &copy) == 0)
			break;
		if (errno != EAGAIN && errno != EINTR)
			return -errno;
		done += (uint64_t)MAX(copy.copy, 0);
	}
	return 0;
}

/*
 * UFFDIO_ZEROPAGE would map the shared zero page, which costs the writer that waits a second
 * (copy-on-write) fault inside the kernel; a copy of zeros gives it its own page at once.
 */
int uffd_zero(int fd, uint64_t hva, uint64_t len, bool protect)
{
	static const char zeros[16 * PAGE_BYTES] __attribute__((aligned(PAGE_BYTES)));
	int r = 0;

	for (uint64_t done = 0; r == 0 && done < len; done += sizeof(zeros))
		r = uffd_copy(fd, hva + done, zeros, MIN(len - done, sizeof(zeros)), protect);
	return r;
}

int uffd_protect(int fd, uint64_t hva, uint64_t len, bool on)
{
	struct uffdio_writeprotect wp = {
		.range = {.start = hva, .len = len},
		.mode = on ? UFFDIO_WRITEPROTECT_MODE_WP : 0,
	};

	return retried_ioctl(fd, UFFDIO_WRITEPROTECT, &wp);
}

int uffd_wake(int fd, uint64_t hva)
{
	struct uffdio_range range = {.start = hva, .len = PAGE_BYTES};

	return retried_ioctl(fd, UFFDIO_WAKE, &range);
}

int uffd_drop(uint64_t hva, uint64_t len)
{
	/* madvise() takes mmap_lock for reading only; EAGAIN as above. */
	while (madvise((void *)hva, len, MADV_DONTNEED) < 0)
		if (errno != EAGAIN)
			return -errno;
	return 0;
}

/* Of a run that the kernel moves in part it says EAGAIN; the reason when it is asked for the rest.
 */
int uffd_move(int fd, uint64_t to, uint64_t from, uint64_t len, unsigned *moved)
{
	uint64_t done = 0;
	int r = 0;

	while (r == 0 && done < len) {
		struct move_request move = {
			.dst = to + done, .src = from + done, .len = len - done};

		if (ioctl(fd, MOVE, &move) < 0 && errno != EAGAIN && errno != EINTR)
			r = -errno;
		done += move.moved > 0 ? (uint64_t)move.moved : 0;
	}
	*moved = (unsigned)(done / PAGE_BYTES);
	return r;
}

int uffd_read(int fd, struct uffd_fault *ret, unsigned max)
{
	struct uffd_msg msg[READ_BATCH];
	unsigned n = 0;

	ssize_t got = read(fd, msg, MIN(max, (unsigned)READ_BATCH) * sizeof(msg[0]));
	if (got < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	for (unsigned i = 0; i < (size_t)got / sizeof(msg[0]); i++) {
		if (msg[i].event != UFFD_EVENT_PAGEFAULT)
			continue;
		uint64_t flags = msg[i].arg.pagefault.flags;
		ret[n++] = (struct uffd_fault){
			.hva = ALIGN_DOWN((uint64_t)msg[i].arg.pagefault.address, PAGE_BYTES),
			.write = flags & (UFFD_PAGEFAULT_FLAG_WRITE | UFFD_PAGEFAULT_FLAG_WP),
			.tid = msg[i].arg.pagefault.feat.ptid,
		};
	}
	return (int)n;
}

int uffd_populated(int pagemap, uint64_t hva, unsigned pages, uint64_t *bits)
{
	uint64_t entry[64];

	for (unsigned done = 0; done < pages;) {
		unsigned n = MIN(pages - done, (unsigned)ARRAY_SIZE(entry));
		off_t at = (off_t)((hva / PAGE_BYTES + done) * sizeof(entry[0]));

		ssize_t got = pread(pagemap, entry, n * sizeof(entry[0]), at);

		if (got < 0)
			return -errno;
		if ((size_t)got != n * sizeof(entry[0]))
			return -EIO;
		for (unsigned i = 0; i < n; i++)
			if (entry[i] & PAGEMAP_HAS_CONTENT)
				bits[(done + i) / 64] |= UINT64_C(1) << ((done + i) % 64);
		done += n;
	}
	return 0;
}
