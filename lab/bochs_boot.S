# SPDX-License-Identifier: Apache-2.0
# Boot sector of the Intel host's disk: reads a kernel that is not compressed, and enters it by the
# 64-bit boot protocol (Documentation/x86/boot.rst, 1.14).
#
# The disk, written by bochs.py: this sector, then the parts that the table at its end names, one
# right behind the other. A part is {32-bit address in memory, 16-bit number of chunks}; the table
# ends with a part of no chunks. One of them is the zero page, in which only the map of memory is
# missing: the BIOS knows it.
#
# Memory on the way: this sector at 0x7c00, a chunk at 0x20000, page tables at 0x70000 (identity
# map of the first 4 GiB), zero page and command line at 0x90000.
#
# What fails writes `!` to the console and stops; whoever waits for the host sees its log.
	.equ	CHUNK, 0x8000
	.equ	BUFFER, 0x20000
	.equ	TABLES, 0x70000
	.equ	ZERO_PAGE, 0x90000
	.equ	E820_COUNT, 0x1e8
	.equ	E820_TABLE, 0x2d0
	.equ	KERNEL, 0x1000000
	.equ	CODE, 0x10
	.equ	DATA, 0x18

	.code16
	.globl	_start
_start:	ljmp	$0, $1f
1:	xor	%ax, %ax
	mov	%ax, %ds
	mov	%ax, %es
	mov	%ax, %ss
	mov	$_start, %sp
	mov	%dl, drive
	cld

	mov	$parts, %bp
part:	mov	4(%bp), %cx
	jcxz	loaded
chunk:	push	%cx
	mov	$packet, %si
	mov	drive, %dl
	mov	$0x42, %ah		# extended read
	int	$0x13
	jc	failed
	mov	(%bp), %eax		# a descriptor's base: bytes 2, 3, 4 and 7
	mov	%eax, target + 2
	movb	$0x93, target + 5
	rol	$8, %eax
	mov	%al, target + 7
	mov	$blocks, %si
	mov	$CHUNK / 2, %cx
	mov	$0x87, %ah		# move to memory above 1 MiB
	int	$0x15
	jc	failed
	addl	$CHUNK, (%bp)
	addl	$CHUNK / 512, sector
	pop	%cx
	loop	chunk
	add	$6, %bp
	jmp	part

failed:	mov	$0x3f8, %dx
	mov	$'!', %al
	out	%al, %dx
	cli
	hlt

loaded:	mov	$ZERO_PAGE >> 4, %ax
	mov	%ax, %es
	mov	$E820_TABLE, %di
	xor	%ebx, %ebx
1:	mov	$0xe820, %eax
	mov	$0x534d4150, %edx	# SMAP
	mov	$20, %ecx
	int	$0x15
	jc	failed
	add	$20, %di
	incb	%es:E820_COUNT
	test	%ebx, %ebx
	jnz	1b

	cli
	in	$0x92, %al		# A20
	or	$2, %al
	out	%al, $0x92

	# PML4 at TABLES, PDPT behind it, then four page directories.
	mov	$TABLES >> 4, %ax
	mov	%ax, %es
	xor	%di, %di
	xor	%eax, %eax
	mov	$0x2000 / 4, %cx
	rep stosl
	movl	$TABLES + 0x1003, %es:0
	mov	$0x1000, %di
	mov	$TABLES + 0x2003, %eax
	mov	$4, %cx
1:	mov	%eax, %es:(%di)
	add	$8, %di
	add	$0x1000, %eax
	loop	1b
	mov	$0x2000, %di
	mov	$0x83, %eax		# 2 MiB, writable, present
	mov	$4 * 512, %cx
1:	stosl
	movl	$0, %es:(%di)
	add	$4, %di
	add	$0x200000, %eax
	loop	1b

	lgdtl	gdtr
	mov	$0x20, %eax		# PAE
	mov	%eax, %cr4
	mov	$TABLES, %eax
	mov	%eax, %cr3
	mov	$0xc0000080, %ecx	# EFER.LME
	rdmsr
	or	$0x100, %ax
	wrmsr
	mov	%cr0, %eax
	or	$0x80000001, %eax	# PG, PE
	mov	%eax, %cr0
	ljmp	$CODE, $1f
	.code64
1:	mov	$DATA, %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	%eax, %ss
	mov	$_start, %esp
	mov	$ZERO_PAGE, %esi
	mov	$KERNEL, %eax
	jmp	*%rax

drive:	.byte	0
	.balign	4
packet:	.byte	16, 0			# INT 13h, AH = 42h
	.word	CHUNK / 512, 0, BUFFER >> 4
sector:	.long	1, 0
gdt:	.quad	0, 0, 0x00af9b000000ffff, 0x00cf93000000ffff
gdtr:	.word	. - gdt - 1
	.long	gdt
blocks:	.fill	16			# INT 15h, AH = 87h: six descriptors, the BIOS's own empty
	.quad	0x0000930000000000 | (BUFFER & 0xffffff) << 16 | CHUNK - 1
target:	.word	CHUNK - 1
	.fill	6 + 16
	.org	486			# bochs.py writes the table here
parts:	.fill	4 * 6
	.word	0xaa55
