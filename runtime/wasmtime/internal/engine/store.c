#include "glue.h"
#include "_cgo_export.h"

#include <string.h>

// refused stands for what Go keeps of an instance's tenant.
static const char refused[] = "refused by the host";

// ask has the guest's request answered in Go. The memory is looked up anew, for it
// may have grown, and a command's was not looked up before. It cannot have moved: for
// each memory as much of the address space is reserved as it may ever have. Where
// there is none its address is NULL.
static struct wasm_trap_t *ask(struct wasmtime_caller *caller, wb_raw *raw,
	bool (*function)(uintptr_t, uint8_t *, size_t, wb_raw *, uint32_t *)) {
	struct wasmtime_context *context = wasmtime_caller_context(caller);
	wb_instance *in = wasmtime_context_get_data(context);
	wb_extern e = {0};
	uint8_t *base = NULL;
	size_t size = 0;
	if (wasmtime_caller_export_get(caller, "memory", 6, (struct wasmtime_extern *)&e) && e.kind == WB_EXTERN_MEMORY) {
		const struct wasmtime_memory *memory = (const struct wasmtime_memory *)&e.of.memory;
		base = wasmtime_memory_data(context, memory);
		size = wasmtime_memory_data_size(context, memory);
	}
	uint32_t length = 0;
	if (!function(in->tenant, base, size, raw, &length))
		return wasmtime_trap_new(refused, sizeof refused - 1);
	raw[0].i64 = 0; // all of it, whatever an i32 takes
	raw[0].i32 = (int32_t)length;
	return NULL;
}

static struct wasm_trap_t *sql(void *env, struct wasmtime_caller *caller,
	union wasmtime_val_raw *raw, size_t n) {
	(void)env, (void)n;
	return ask(caller, (wb_raw *)raw, wasmbenchSQL);
}

static struct wasm_trap_t *sql_again(void *env, struct wasmtime_caller *caller,
	union wasmtime_val_raw *raw, size_t n) {
	(void)env, (void)n;
	return ask(caller, (wb_raw *)raw, wasmbenchSQLAgain);
}

// define adds a function that takes so many numbers and returns one.
static struct wasmtime_error *define(struct wasmtime_linker *l, const char *module, const char *name,
	size_t takes, wb_callback *f) {
	struct wasm_valtype_t *types[4];
	wb_vec params, results;
	for (size_t i = 0; i < takes; i++)
		types[i] = wasm_valtype_new(WB_I32);
	wasm_valtype_vec_new((struct wasm_valtype_vec_t *)&params, takes, types);
	types[0] = wasm_valtype_new(WB_I32);
	wasm_valtype_vec_new((struct wasm_valtype_vec_t *)&results, 1, types);
	struct wasm_functype_t *type = wasm_functype_new((struct wasm_valtype_vec_t *)&params, (struct wasm_valtype_vec_t *)&results);
	struct wasmtime_error *err = wasmtime_linker_define_func_unchecked(l, module, strlen(module), name, strlen(name), type, f, NULL, NULL);
	wasm_functype_delete(type);
	return err;
}

struct wasmtime_error *wb_linker_define_store(struct wasmtime_linker *l, const char *module,
	const char *sql_name, const char *again_name) {
	struct wasmtime_error *err = define(l, module, sql_name, 4, sql);
	return err != NULL ? err : define(l, module, again_name, 2, sql_again);
}
