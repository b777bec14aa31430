#include "glue.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

// What stays committed of a slot's memory and table when its instance is closed.
// Zeroing this much is cheaper than giving pages back and faulting them in
// again, but it commits pages that the guest never touched. So it is 256 KiB,
// which covers the memory that clang gives a small guest, and nothing in a pool
// whose slots together would keep more than 256 MiB: it is there to hold many
// instances, and once they are closed it would have more of the host than before.
enum {
	KEEP_MEMORY = 256 << 10,
	KEEP_TABLE = 64 << 10,
	KEEP_SLOTS = 1000,
	TABLE_ELEMENTS = 20000,
};

static size_t keep(size_t size, uint32_t slots) {
	return slots <= KEEP_SLOTS ? size : 0;
}

static bool mappable(size_t size, int protection) {
	void *p = mmap(NULL, size, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED)
		return false;
	munmap(p, size);
	return true;
}

bool wb_reservable(uint32_t slots) {
	// The reservation and the guard region of a memory, at Wasmtime's defaults.
	const size_t memory = (4ull << 30) + (32 << 20);
	const size_t table = TABLE_ELEMENTS * 8;
	return mappable(slots * (memory + table), PROT_NONE) &&
		mappable(slots * table, PROT_READ | PROT_WRITE);
}

struct wasm_engine_t *wb_engine_new(const wb_config *c) {
	struct wasm_config_t *config = wasm_config_new();
	wasmtime_config_cranelift_opt_level_set(config, WB_OPT_SPEED);
	wasmtime_config_epoch_interruption_set(config, c->epochs);
	if (c->slots > 0) {
		struct wasmtime_pooling_allocation_config_t *p = wasmtime_pooling_allocation_config_new();
		wasmtime_pooling_allocation_config_total_core_instances_set(p, c->slots);
		wasmtime_pooling_allocation_config_total_memories_set(p, c->slots);
		wasmtime_pooling_allocation_config_total_tables_set(p, c->slots);
		wasmtime_pooling_allocation_config_total_component_instances_set(p, 0);
		wasmtime_pooling_allocation_config_total_gc_heaps_set(p, 0);
		wasmtime_pooling_allocation_config_total_stacks_set(p, 0);
		wasmtime_pooling_allocation_config_max_memory_size_set(p, c->max_memory);
		wasmtime_pooling_allocation_config_table_elements_set(p, TABLE_ELEMENTS);
		wasmtime_pooling_allocation_config_linear_memory_keep_resident_set(p, keep(KEEP_MEMORY, c->slots));
		wasmtime_pooling_allocation_config_table_keep_resident_set(p, keep(KEEP_TABLE, c->slots));
		wasmtime_pooling_allocation_strategy_set(config, p);
		wasmtime_pooling_allocation_config_delete(p);
	}
	return wasm_engine_new_with_config(config);
}

char *wb_failure_text(wb_failure *f, bool *trapped, int *status) {
	wb_bytes text = {0};
	*trapped = f->trap != NULL;
	*status = -1;
	if (f->trap != NULL) {
		wasm_trap_message(f->trap, (struct wasm_byte_vec_t *)&text);
		wasm_trap_delete(f->trap);
	} else if (f->error != NULL) {
		if (!wasmtime_error_exit_status(f->error, status))
			*status = -1;
		wasmtime_error_message(f->error, (struct wasm_byte_vec_t *)&text);
		wasmtime_error_delete(f->error);
	}
	f->trap = NULL;
	f->error = NULL;
	char *s = calloc(text.size + 1, 1);
	if (s != NULL && text.size > 0)
		memcpy(s, text.data, text.size);
	wasm_byte_vec_delete((struct wasm_byte_vec_t *)&text);
	return s;
}

static bool named(const struct wasm_byte_vec_t *name, const char *want) {
	const wb_bytes *n = (const wb_bytes *)name;
	return n->size == strlen(want) && memcmp(n->data, want, n->size) == 0;
}

// is tells whether v is the one type kind, or nothing where kind is -1.
static bool is(const struct wasm_valtype_vec_t *types, int kind) {
	const wb_vec *v = (const wb_vec *)types;
	if (kind < 0)
		return v->size == 0;
	return v->size == 1 && wasm_valtype_kind(v->data[0]) == kind;
}

static bool func(const struct wasm_externtype_t *type, int param, int result) {
	if (wasm_externtype_kind(type) != WB_TYPE_FUNC)
		return false;
	const struct wasm_functype_t *f = wasm_externtype_as_functype_const(type);
	return is(wasm_functype_params(f), param) && is(wasm_functype_results(f), result);
}

static char *text(const struct wasm_byte_vec_t *name) {
	const wb_bytes *n = (const wb_bytes *)name;
	return strndup(n->data, n->size);
}

void wb_module_shape(wb_module *m, const char *store) {
	wb_vec v;
	wasmtime_module_exports(m->module, (struct wasm_exporttype_vec_t *)&v);
	for (size_t i = 0; i < v.size; i++) {
		const struct wasm_byte_vec_t *name = wasm_exporttype_name(v.data[i]);
		const struct wasm_externtype_t *type = wasm_exporttype_type(v.data[i]);
		if (named(name, "memory"))
			m->memory = wasm_externtype_kind(type) == WB_TYPE_MEMORY;
		else if (named(name, "wasmbench_request"))
			m->request = func(type, WB_I32, WB_I32);
		else if (named(name, "wasmbench_answer"))
			m->answer = func(type, WB_I32, WB_I64);
		else if (named(name, "_initialize"))
			m->initialize = func(type, -1, -1);
		else if (named(name, "_start"))
			m->entry = func(type, -1, -1);
	}
	wasm_exporttype_vec_delete((struct wasm_exporttype_vec_t *)&v);
	wasmtime_module_imports(m->module, (struct wasm_importtype_vec_t *)&v);
	for (size_t i = 0; i < v.size; i++) {
		const struct wasm_byte_vec_t *from = wasm_importtype_module(v.data[i]);
		if (named(from, "wasi_snapshot_preview1") || named(from, "wasi_unstable"))
			m->wasi = true;
		else if (named(from, store) && m->asks == NULL)
			m->asks = text(wasm_importtype_name(v.data[i]));
	}
	wasm_importtype_vec_delete((struct wasm_importtype_vec_t *)&v);
}

int wb_module_link(wb_module *m, const struct wasmtime_linker *linker, wb_failure *f) {
	struct wasmtime_linker *bare = NULL;
	if (linker == NULL)
		linker = bare = wasmtime_linker_new(m->engine);
	f->error = wasmtime_linker_instantiate_pre(linker, m->module, &m->pre);
	if (bare != NULL)
		wasmtime_linker_delete(bare);
	return f->error == NULL ? WB_OK : WB_FAILED;
}

void wb_module_code(const wb_module *m, uintptr_t *start, uintptr_t *end) {
	void *first = NULL, *last = NULL;
	wasmtime_module_image_range(m->module, &first, &last);
	*start = (uintptr_t)first;
	*end = (uintptr_t)last;
}

void wb_module_delete(wb_module *m) {
	if (m->pre != NULL)
		wasmtime_instance_pre_delete(m->pre);
	if (m->module != NULL)
		wasmtime_module_delete(m->module);
	free(m->dir);
	free(m->asks);
	m->pre = NULL;
	m->module = NULL;
	m->dir = m->asks = NULL;
}
