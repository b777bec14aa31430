#include "glue.h"

#include <stdlib.h>
#include <string.h>

// on_epoch runs in every instance of an engine when one of them is stopped.
static struct wasmtime_error *on_epoch(struct wasmtime_context *context, void *data,
	uint64_t *delta, uint8_t *kind) {
	wb_instance *in = data;
	(void)context;
	if (__atomic_load_n(&in->stop, __ATOMIC_ACQUIRE))
		return wasmtime_error_new("interrupted");
	*delta = 1;
	*kind = WB_CONTINUE;
	return NULL;
}

static struct wasmtime_error *set_wasi(wb_instance *in, const wb_module *m, wb_stdio stdio) {
	const char *argv[] = {"guest"};
	struct wasi_config_t *wasi = wasi_config_new();
	if (!wasi_config_set_argv(wasi, 1, argv)) {
		wasi_config_delete(wasi);
		return wasmtime_error_new("setting the guest's arguments");
	}
	if (m->dir != NULL && !wasi_config_preopen_dir(wasi, m->dir, "/", WB_DIR_ALL, WB_FILE_ALL)) {
		wasi_config_delete(wasi);
		return wasmtime_error_new("opening the guest's directory"); // Wasmtime does not tell why
	}
	if (stdio.in)
		wasi_config_inherit_stdin(wasi);
	if (stdio.out)
		wasi_config_inherit_stdout(wasi);
	if (stdio.err)
		wasi_config_inherit_stderr(wasi);
	return wasmtime_context_set_wasi(in->context, wasi);
}

wb_instance *wb_instance_new(const wb_module *m, wb_stdio stdio, int64_t limit) {
	wb_instance *in = calloc(1, sizeof *in);
	if (in == NULL)
		return NULL;
	in->max_answer = m->max_answer;
	in->store = wasmtime_store_new(m->engine, in, NULL);
	in->context = wasmtime_store_context(in->store);
	if (limit >= 0)
		wasmtime_store_limiter(in->store, limit, -1, -1, -1, -1);
	if (m->epochs) {
		wasmtime_store_epoch_deadline_callback(in->store, on_epoch, in, NULL);
		wasmtime_context_set_epoch_deadline(in->context, 1);
	}
	if (m->wasi)
		in->failure.error = set_wasi(in, m, stdio);
	return in;
}

int wb_instance_open(wb_instance *in, const wb_module *m) {
	if (in->failure.error == NULL)
		in->failure.error = wasmtime_instance_pre_instantiate(m->pre, in->context,
			(struct wasmtime_instance *)&in->id, &in->failure.trap);
	return in->failure.error == NULL && in->failure.trap == NULL ? WB_OK : WB_FAILED;
}

static wb_extern export(wb_instance *in, const char *name, size_t len) {
	wb_extern e = {0};
	wasmtime_instance_export_get(in->context, (struct wasmtime_instance *)&in->id, name, len,
		(struct wasmtime_extern *)&e);
	return e;
}

static inline bool call(wb_instance *in, const wb_func *func, wb_raw *raw) {
	in->failure.error = wasmtime_func_call_unchecked(in->context,
		(const struct wasmtime_func *)func, (union wasmtime_val_raw *)raw, 1, &in->failure.trap);
	return in->failure.error == NULL && in->failure.trap == NULL;
}

int wb_instance_enter(wb_instance *in, const char *name, size_t len) {
	wb_raw raw = {0};
	wb_extern e = export(in, name, len);
	return call(in, &e.of.func, &raw) ? WB_OK : WB_FAILED;
}

uintptr_t wb_instance_base(wb_instance *in) {
	wb_extern e = export(in, "memory", 6);
	if (e.kind != WB_EXTERN_MEMORY)
		return 0;
	return (uintptr_t)wasmtime_memory_data(in->context, (const struct wasmtime_memory *)&e.of.memory);
}

bool wb_instance_bind(wb_instance *in) {
	wb_extern memory = export(in, "memory", 6);
	if (memory.kind != WB_EXTERN_MEMORY)
		return false;
	in->memory = memory.of.memory;
	in->base = wasmtime_memory_data(in->context, (const struct wasmtime_memory *)&in->memory);
	in->request = export(in, "wasmbench_request", 17).of.func;
	in->answer = export(in, "wasmbench_answer", 16).of.func;
	return true;
}

// inside notes a range of the guest's memory and tells whether it is in bounds.
static inline bool inside(wb_instance *in, uint32_t at, uint32_t size) {
	in->at = at;
	in->size = size;
	in->bound = wasmtime_memory_data_size(in->context, (const struct wasmtime_memory *)&in->memory);
	return (uint64_t)at + size <= in->bound;
}

int wb_instance_reserve(wb_instance *in, uint32_t size) {
	wb_raw raw = {.i32 = (int32_t)size};
	if (!call(in, &in->request, &raw))
		return WB_FAILED;
	in->buffer = (uint32_t)raw.i32;
	if (in->buffer == 0)
		return WB_NO_ROOM;
	if (!inside(in, in->buffer, size))
		return WB_BUFFER_OUTSIDE;
	in->capacity = size;
	return WB_OK;
}

int wb_instance_call(uintptr_t instance, const uint8_t *request, uint32_t size) {
	wb_instance *in = (wb_instance *)instance;
	if (size > 0)
		memcpy(in->base + in->buffer, request, size);
	wb_raw raw = {.i32 = (int32_t)size};
	if (!call(in, &in->answer, &raw))
		return WB_FAILED;
	uint64_t result = (uint64_t)raw.i64;
	if (!inside(in, result >> 32, (uint32_t)result) || in->size > in->max_answer)
		return WB_ANSWER_OUTSIDE;
	in->data = in->base + in->at;
	return WB_OK;
}

void wb_instance_stop(wb_instance *in, struct wasm_engine_t *engine) {
	__atomic_store_n(&in->stop, 1, __ATOMIC_RELEASE);
	wasmtime_engine_increment_epoch(engine);
}

bool wb_instance_resume(wb_instance *in) {
	return __atomic_exchange_n(&in->stop, 0, __ATOMIC_ACQ_REL) != 0;
}

void wb_instance_close(wb_instance *in) {
	if (in == NULL)
		return;
	if (in->failure.error != NULL)
		wasmtime_error_delete(in->failure.error);
	if (in->failure.trap != NULL)
		wasm_trap_delete(in->failure.trap);
	if (in->store != NULL)
		wasmtime_store_delete(in->store);
	free(in);
}
