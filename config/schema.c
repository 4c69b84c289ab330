/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The schema of the cluster file and the translation of libcyaml's complaints.
 *
 * libcyaml says what is wrong only through its log function: one line with the reason, then a
 * backtrace from the innermost key outwards, each with its line number. struct complaint gathers
 * that into "FILE:LINE: nodes[1].vcpus: reason". Aliases are refused (a small file could grow
 * without bound through them), and so is a second document in the file.
 */
#include "config/schema.h"

#include <cyaml/cyaml.h>
#include <stdio.h>

#define OPTIONAL		  CYAML_FLAG_OPTIONAL
#define TEXT_MAX		  4096
#define member_type(type, member) __typeof__(((type *)NULL)->member)

typedef member_type(struct cluster_file, cluster) cluster_section;
typedef member_type(struct cluster_file, guest) guest_section;
typedef member_type(struct cluster_file, transport) transport_section;
typedef member_type(struct cluster_file, numa) numa_section;
typedef member_type(struct cluster_file, pager) pager_section;
typedef member_type(struct cluster_file, boot) boot_section;
typedef member_type(struct cluster_file, lab) lab_section;
typedef member_type(struct file_distances, numa) distances_section;

static const cyaml_strval_t placements[] = {
	{"hosts", CLUSTER_HOSTS}, {"local", CLUSTER_LOCAL}, {"lab", CLUSTER_LAB}};
static const cyaml_strval_t transports[] = {{"tcp", CLUSTER_TCP}};

static const cyaml_schema_value_t number_entry = {CYAML_VALUE_UINT(CYAML_FLAG_DEFAULT, unsigned)};

static const cyaml_schema_field_t cluster_fields[] = {
	CYAML_FIELD_STRING_PTR("name", 0, cluster_section, name, 1, 63), CYAML_FIELD_END};

static const cyaml_schema_field_t guest_fields[] = {
	CYAML_FIELD_STRING_PTR("kernel", OPTIONAL, guest_section, kernel, 1, TEXT_MAX),
	CYAML_FIELD_STRING_PTR("initrd", OPTIONAL, guest_section, initrd, 1, TEXT_MAX),
	CYAML_FIELD_STRING_PTR("append", OPTIONAL, guest_section, append, 0, TEXT_MAX),
	CYAML_FIELD_END};

static const cyaml_schema_field_t node_fields[] = {
	CYAML_FIELD_STRING_PTR("name", 0, struct file_node, name, 1, 31),
	CYAML_FIELD_STRING_PTR("address", OPTIONAL, struct file_node, address, 1, 127),
	CYAML_FIELD_STRING_PTR("memory", 0, struct file_node, memory, 1, 32),
	CYAML_FIELD_UINT_PTR("vcpus", 0, struct file_node, vcpus),
	CYAML_FIELD_STRING_PTR("limit", OPTIONAL, struct file_node, limit, 1, 32),
	CYAML_FIELD_STRING_PTR("ssh", OPTIONAL, struct file_node, ssh, 1, 127),
	CYAML_FIELD_SEQUENCE("cpus", CYAML_FLAG_POINTER | OPTIONAL, struct file_node, cpus,
			     &number_entry, 1, MAX_NODE_VCPUS),
	CYAML_FIELD_END};
static const cyaml_schema_value_t node_entry = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct file_node, node_fields)};

static const cyaml_schema_field_t transport_fields[] = {
	CYAML_FIELD_ENUM("kind", CYAML_FLAG_STRICT, transport_section, kind, transports,
			 ARRAY_SIZE(transports)),
	CYAML_FIELD_END};

static const cyaml_schema_field_t numa_fields[] = {
	CYAML_FIELD_UINT_PTR("local_distance", OPTIONAL, numa_section, local_distance),
	CYAML_FIELD_UINT_PTR("remote_distance", OPTIONAL, numa_section, remote_distance),
	CYAML_FIELD_IGNORE("distances", OPTIONAL), CYAML_FIELD_END};

static const cyaml_schema_field_t pager_fields[] = {
	CYAML_FIELD_UINT_PTR("shards", OPTIONAL, pager_section, shards),
	CYAML_FIELD_UINT_PTR("hold_us", OPTIONAL, pager_section, hold_us),
	CYAML_FIELD_UINT_PTR("spin_us", OPTIONAL, pager_section, spin_us),
	CYAML_FIELD_UINT_PTR("homes", OPTIONAL, pager_section, homes),
	CYAML_FIELD_STRING_PTR("trace", OPTIONAL, pager_section, trace, 1, TEXT_MAX),
	CYAML_FIELD_STRING_PTR("trace_size", OPTIONAL, pager_section, trace_size, 1, 32),
	CYAML_FIELD_END};

static const cyaml_schema_field_t boot_fields[] = {
	CYAML_FIELD_UINT_PTR("together", OPTIONAL, boot_section, together), CYAML_FIELD_END};

static const cyaml_schema_field_t lab_fields[] = {
	CYAML_FIELD_UINT_PTR("slow_motion", OPTIONAL, lab_section, slow_motion),
	CYAML_FIELD_UINT_PTR("skew_ppm", OPTIONAL, lab_section, skew_ppm),
	CYAML_FIELD_UINT_PTR("unlike_cpus", OPTIONAL, lab_section, unlike_cpus),
	CYAML_FIELD_UINT_PTR("free_clocks", OPTIONAL, lab_section, free_clocks),
	CYAML_FIELD_STRING_PTR("host_memory", OPTIONAL, lab_section, host_memory, 1, 32),
	CYAML_FIELD_END};

static const cyaml_schema_field_t file_fields[] = {
	CYAML_FIELD_MAPPING("cluster", 0, struct cluster_file, cluster, cluster_fields),
	CYAML_FIELD_MAPPING("guest", OPTIONAL, struct cluster_file, guest, guest_fields),
	CYAML_FIELD_ENUM("placement", OPTIONAL | CYAML_FLAG_STRICT, struct cluster_file, placement,
			 placements, ARRAY_SIZE(placements)),
	CYAML_FIELD_SEQUENCE("nodes", CYAML_FLAG_POINTER, struct cluster_file, nodes, &node_entry,
			     1, MAX_NODES),
	CYAML_FIELD_MAPPING("transport", OPTIONAL, struct cluster_file, transport,
			    transport_fields),
	CYAML_FIELD_MAPPING("numa", OPTIONAL, struct cluster_file, numa, numa_fields),
	CYAML_FIELD_MAPPING("pager", OPTIONAL, struct cluster_file, pager, pager_fields),
	CYAML_FIELD_MAPPING("boot", OPTIONAL, struct cluster_file, boot, boot_fields),
	CYAML_FIELD_MAPPING("lab", OPTIONAL, struct cluster_file, lab, lab_fields),
	CYAML_FIELD_END};
static const cyaml_schema_value_t file_schema = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct cluster_file, file_fields)};

struct complaint {
	char reason[160];
	char path[160]; /* built from the innermost key outwards */
	unsigned line;	/* 0: unknown */
	bool documents; /* the file has more than one */
};

/* Puts "outer" or "outer[n]" before the path gathered so far. */
static void prepend(struct complaint *c, const char *outer)
{
	const char *dot = c->path[0] && c->path[0] != '[' ? "." : "";
	const size_t added = strlen(outer) + strlen(dot), had = strlen(c->path);

	if (added + had >= sizeof(c->path))
		return;
	memmove(c->path + added, c->path, had + 1);
	memcpy(c->path, outer, strlen(outer));
	memcpy(c->path + strlen(outer), dot, strlen(dot));
}

static void gather(cyaml_log_t level, void *ctx, const char *fmt, va_list args)
	__attribute__((format(printf, 3, 0)));

static void gather(cyaml_log_t level, void *ctx, const char *fmt, va_list args)
{
	struct complaint *c = ctx;
	char text[192], key[64], outer[80];
	unsigned line, index;

	vsnprintf(text, sizeof(text), fmt, args);
	if (sscanf(text, "  in mapping field '%63[^']' (line: %u", key, &line) == 2) {
		prepend(c, key);
	} else if (sscanf(text, "  in sequence entry '%u' (line: %u", &index, &line) == 2) {
		/* libcyaml counts entries from 1 here. */
		snprintf(outer, sizeof(outer), "[%u]", index ? index - 1 : 0);
		prepend(c, outer);
	} else if (sscanf(text, "  in mapping (line: %u", &line) != 1) {
		if (strncmp(text, "Ignoring documents", 18) == 0)
			c->documents = true;
		else if (!c->reason[0] && strncmp(text, "Load: ", 6) == 0)
			snprintf(c->reason, sizeof(c->reason), "%.*s", (int)strcspn(text + 6, "\n"),
				 text + 6);
		return;
	}
	if (!c->line)
		c->line = line;
}

static const char *way_out(cyaml_err_t code)
{
	switch (code) {
	case CYAML_ERR_INVALID_KEY:
		return "remove it or correct its name (`ssihv config keys` lists all keys)";
	case CYAML_ERR_MAPPING_FIELD_MISSING:
		return "add it (`ssihv config keys` lists all keys)";
	case CYAML_ERR_LIBYAML_PARSER:
		return "correct the YAML syntax there";
	case CYAML_ERR_ALIAS:
		return "write the value out; aliases are not accepted";
	default:
		return "`ssihv config keys` tells what the key takes";
	}
}

static int complain(const char *origin, cyaml_err_t code, const struct complaint *c,
		    struct err *err)
{
	const char *reason = c->reason[0] ? c->reason : cyaml_strerror(code);
	const char *colon = c->path[0] ? ": " : "";

	if (code == CYAML_ERR_OOM)
		return err_set(err, -ENOMEM, "%s: out of memory", origin);
	/* libcyaml's line for an unknown key is the line of what came before it. */
	if (c->line && code != CYAML_ERR_INVALID_KEY)
		return err_set(err, -EINVAL, "%s:%u: %s%s%s; %s", origin, c->line, c->path, colon,
			       reason, way_out(code));
	return err_set(err, -EINVAL, "%s: %s%s%s; %s", origin, c->path, colon, reason,
		       way_out(code));
}

static int load(const char *origin, const char *text, size_t len, cyaml_cfg_flags_t flags,
		const cyaml_schema_value_t *schema, void **ret, struct err *err)
{
	struct complaint c = {0};
	const cyaml_config_t cfg = {.log_fn = gather,
				    .log_ctx = &c,
				    .mem_fn = cyaml_mem,
				    .log_level = CYAML_LOG_WARNING,
				    .flags = flags | CYAML_CFG_NO_ALIAS};
	void *data = NULL;
	cyaml_err_t code;

	code = cyaml_load_data((const uint8_t *)text, len, &cfg, schema, &data, NULL);
	if (code != CYAML_OK)
		return complain(origin, code, &c, err);
	if (!data)
		return err_set(err, -EINVAL, "%s: the file is empty; see docs/cluster.example.yaml",
			       origin);
	if (c.documents) {
		cyaml_free(&cfg, schema, data, 0);
		return err_set(err, -EINVAL, "%s: more than one YAML document; keep one", origin);
	}
	*ret = data;
	return 0;
}

static void release(const cyaml_schema_value_t *schema, void *data)
{
	const cyaml_config_t cfg = {.mem_fn = cyaml_mem};

	cyaml_free(&cfg, schema, data, 0);
}

int schema_read(const char *origin, const char *text, size_t len, struct cluster_file **ret,
		struct err *err)
{
	void *data;
	int r = load(origin, text, len, CYAML_CFG_DEFAULT, &file_schema, &data, err);

	if (r == 0)
		*ret = data;
	return r;
}

void schema_free(struct cluster_file *file)
{
	release(&file_schema, file);
}

/* The schema of the distances alone, for one number of nodes. The parts point at each other. */
struct distances_schema {
	cyaml_schema_value_t row, top;
	cyaml_schema_field_t numa[2], file[2];
};

static void distances_schema_init(struct distances_schema *s, unsigned nodes)
{
	cyaml_schema_field_t matrix =
		CYAML_FIELD_SEQUENCE("distances", CYAML_FLAG_POINTER | OPTIONAL, distances_section,
				     distances, &s->row, nodes, nodes);
	const cyaml_schema_field_t section =
		CYAML_FIELD_MAPPING("numa", OPTIONAL, struct file_distances, numa, s->numa);

	matrix.value.data_size = (uint32_t)sizeof(unsigned) * nodes; /* one row */
	*s = (struct distances_schema){
		.row = {CYAML_VALUE_SEQUENCE_FIXED(CYAML_FLAG_DEFAULT, unsigned, &number_entry,
						   nodes)},
		.top = {CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct file_distances, s->file)},
		.numa = {matrix, CYAML_FIELD_END},
		.file = {section, CYAML_FIELD_END},
	};
}

int schema_read_distances(const char *origin, const char *text, size_t len, unsigned nodes,
			  struct file_distances **ret, struct err *err)
{
	struct distances_schema schema;
	void *data;
	int r;

	distances_schema_init(&schema, nodes);
	r = load(origin, text, len, CYAML_CFG_IGNORE_UNKNOWN_KEYS, &schema.top, &data, err);
	if (r == 0)
		*ret = data;
	return r;
}

void schema_free_distances(struct file_distances *d, unsigned nodes)
{
	struct distances_schema schema;

	distances_schema_init(&schema, nodes);
	release(&schema.top, d);
}
