// What the Go code calls. Functions return WB_OK or what went wrong; after
// WB_FAILED the failure says why.

#ifndef WASMBENCH_GLUE_H
#define WASMBENCH_GLUE_H

#include "capi.h"

enum {
	WB_OK,
	WB_FAILED,         // Wasmtime returned an error or a trap
	WB_NO_ROOM,        // the guest had no buffer for the request
	WB_BUFFER_OUTSIDE, // the guest's buffer is not in its memory
	WB_ANSWER_OUTSIDE, // the guest's answer is not in its memory, or too long
};

typedef struct wb_failure {
	struct wasmtime_error *error;
	struct wasm_trap_t *trap;
} wb_failure;

// wb_failure_text frees the failure and returns its text, which the caller
// frees. It sets *trapped for a trap, and *status to the status with which a
// guest exited, or to -1.
char *wb_failure_text(wb_failure *f, bool *trapped, int *status);

typedef struct wb_config {
	uint64_t max_memory; // bytes of one memory
	uint32_t slots;      // instances in the pool; 0 allocates on demand
	bool epochs;         // code can be interrupted
} wb_config;

// wb_reservable tells whether the kernel grants a pool of that many slots;
// Wasmtime aborts the process where it does not.
bool wb_reservable(uint32_t slots);
struct wasm_engine_t *wb_engine_new(const wb_config *c);

typedef struct wb_module {
	struct wasm_engine_t *engine;
	struct wasmtime_module *module;
	struct wasmtime_instance_pre *pre;
	uint32_t max_answer; // bytes
	bool epochs;
	char *dir; // of the host, which guests find as /; NULL for none, freed with the module
	char *asks; // the first that it imports of the store's module; NULL for none, freed with the module
	// The shape of the module: exports of the right type, imports.
	bool memory, request, answer, initialize, entry, wasi;
} wb_module;

// wb_module_shape fills in the shape of m->module and m->asks; store is the name
// of the store's module.
void wb_module_shape(wb_module *m, const char *store);
// wb_module_link sets m->pre with what the linker has, or with nothing if it is NULL.
int wb_module_link(wb_module *m, const struct wasmtime_linker *linker, wb_failure *f);
// wb_linker_define_store adds the store's functions: a module's name and theirs.
// They are for instances with a tenant.
struct wasmtime_error *wb_linker_define_store(struct wasmtime_linker *l, const char *module,
	const char *sql, const char *sql_again);
// wb_module_code tells where the module's machine code and its data lie, which
// are 0 where there is none.
void wb_module_code(const wb_module *m, uintptr_t *start, uintptr_t *end);
void wb_module_delete(wb_module *m);

typedef struct wb_instance {
	struct wasmtime_store *store;
	struct wasmtime_context *context;
	wb_instance_id id;
	wb_func request, answer;
	wb_memory memory;
	uint8_t *base; // of the memory; one in a pool never moves
	uintptr_t tenant; // handle of what Go knows it by; 0 where it imports nothing of the store
	uint32_t max_answer;
	uint32_t buffer, capacity; // where requests go in the guest's memory
	// The outcome of the last call.
	wb_failure failure;
	const uint8_t *data; // the answer
	uint32_t at, size;   // of the answer or the buffer, in the guest's memory
	uint64_t bound;      // bytes of that memory
	int stop;            // set by wb_instance_stop, always accessed atomically
} wb_instance;

typedef struct wb_stdio {
	bool in, out, err; // inherited from this process
} wb_stdio;

// wb_instance_new prepares an instance of m, or returns NULL. limit is the most
// bytes of a memory, or -1 where the pool sets the limit.
wb_instance *wb_instance_new(const wb_module *m, wb_stdio stdio, int64_t limit);
// wb_instance_open instantiates m, once.
int wb_instance_open(wb_instance *in, const wb_module *m);
// wb_instance_enter calls the export name, which takes and returns nothing.
int wb_instance_enter(wb_instance *in, const char *name, size_t len);
// wb_instance_base is the address of the memory that the instance exports as
// such, 0 if there is none.
uintptr_t wb_instance_base(wb_instance *in);
// wb_instance_bind looks up the exports of the exchange. It returns false if
// the memory is a shared one.
bool wb_instance_bind(wb_instance *in);
// wb_instance_reserve asks the guest for a request buffer of size bytes.
int wb_instance_reserve(wb_instance *in, uint32_t size);
// wb_instance_call makes one exchange, of a request that fits in capacity. The
// answer is at data, size bytes long.
// The wb_instance is passed as a number and the request as bytes because cgo
// looks into other pointers at every call, which takes 20 ns.
int wb_instance_call(uintptr_t in, const uint8_t *request, uint32_t size);
// wb_instance_stop makes code that runs in the instance, or will, fail.
void wb_instance_stop(wb_instance *in, struct wasm_engine_t *engine);
// wb_instance_resume takes a stop back and tells whether there was one.
bool wb_instance_resume(wb_instance *in);
void wb_instance_close(wb_instance *in);

#endif
