// The part of Wasmtime's C API that wasmtime-go links but does not bind, and
// what goes with it. The tags are those of Wasmtime's own headers, so that
// TestHeaders can compile both into one unit, where the compiler compares them.

#ifndef WASMBENCH_CAPI_H
#define WASMBENCH_CAPI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct wasi_config_t;
struct wasm_byte_vec_t;
struct wasm_config_t;
struct wasm_engine_t;
struct wasm_exporttype_t;
struct wasm_exporttype_vec_t;
struct wasm_externtype_t;
struct wasm_functype_t;
struct wasm_importtype_t;
struct wasm_importtype_vec_t;
struct wasm_trap_t;
struct wasm_valtype_t;
struct wasm_valtype_vec_t;
struct wasmtime_caller;
struct wasmtime_context;
struct wasmtime_error;
struct wasmtime_extern;
struct wasmtime_func;
struct wasmtime_instance;
struct wasmtime_instance_pre;
struct wasmtime_linker;
struct wasmtime_memory;
struct wasmtime_module;
struct wasmtime_pooling_allocation_config_t;
struct wasmtime_store;
union wasmtime_val_raw;

// Layouts. Each wb_ type stands for the Wasmtime type that it is cast to.

typedef struct wb_func { // struct wasmtime_func
	uint64_t store;
	void *self;
} wb_func;

typedef struct wb_instance_id { // struct wasmtime_instance
	uint64_t store;
	size_t self;
} wb_instance_id;

typedef struct wb_memory { // struct wasmtime_memory
	struct {
		uint64_t store;
		uint32_t instance;
	} owner;
	uint32_t self;
} wb_memory;

typedef struct wb_extern { // struct wasmtime_extern
	uint8_t kind;
	union {
		wb_func func;
		wb_memory memory;
	} of;
} wb_extern;

typedef union wb_raw { // union wasmtime_val_raw
	int32_t i32;
	int64_t i64;
	uint64_t whole[2];
} wb_raw;

typedef struct wb_bytes { // struct wasm_byte_vec_t
	size_t size;
	char *data;
} wb_bytes;

typedef struct wb_vec { // struct wasm_{exporttype,importtype,valtype}_vec_t
	size_t size;
	void **data;
} wb_vec;

enum {
	WB_OPT_SPEED = 1,     // WASMTIME_OPT_LEVEL_SPEED
	WB_EXTERN_FUNC = 0,   // WASMTIME_EXTERN_FUNC
	WB_EXTERN_MEMORY = 3, // WASMTIME_EXTERN_MEMORY
	WB_TYPE_FUNC = 0,     // WASM_EXTERN_FUNC
	WB_TYPE_MEMORY = 3,   // WASM_EXTERN_MEMORY
	WB_I32 = 0,           // WASM_I32
	WB_I64 = 1,           // WASM_I64
	WB_CONTINUE = 0,      // WASMTIME_UPDATE_DEADLINE_CONTINUE
	WB_DIR_ALL = 3,       // WASMTIME_WASI_DIR_PERMS_READ and _WRITE
	WB_FILE_ALL = 3,      // WASMTIME_WASI_FILE_PERMS_READ and _WRITE
};

// Configuration.

struct wasm_config_t *wasm_config_new(void);
void wasmtime_config_cranelift_opt_level_set(struct wasm_config_t *, uint8_t);
void wasmtime_config_epoch_interruption_set(struct wasm_config_t *, bool);
void wasmtime_pooling_allocation_strategy_set(struct wasm_config_t *,
	const struct wasmtime_pooling_allocation_config_t *);

struct wasmtime_pooling_allocation_config_t *wasmtime_pooling_allocation_config_new(void);
void wasmtime_pooling_allocation_config_delete(struct wasmtime_pooling_allocation_config_t *);

#define WB_POOLING(name, type)                              \
	void wasmtime_pooling_allocation_config_##name##_set(   \
		struct wasmtime_pooling_allocation_config_t *, type);
WB_POOLING(linear_memory_keep_resident, size_t)
WB_POOLING(max_memory_size, size_t)
WB_POOLING(table_elements, size_t)
WB_POOLING(table_keep_resident, size_t)
WB_POOLING(total_component_instances, uint32_t)
WB_POOLING(total_core_instances, uint32_t)
WB_POOLING(total_gc_heaps, uint32_t)
WB_POOLING(total_memories, uint32_t)
WB_POOLING(total_stacks, uint32_t)
WB_POOLING(total_tables, uint32_t)
#undef WB_POOLING

// Engines and modules.

struct wasm_engine_t *wasm_engine_new_with_config(struct wasm_config_t *);
void wasm_engine_delete(struct wasm_engine_t *);
void wasmtime_engine_increment_epoch(struct wasm_engine_t *);

struct wasmtime_error *wasmtime_module_new(struct wasm_engine_t *, const uint8_t *, size_t,
	struct wasmtime_module **);
struct wasmtime_error *wasmtime_module_deserialize_file(struct wasm_engine_t *, const char *,
	struct wasmtime_module **);
struct wasmtime_error *wasmtime_module_serialize(struct wasmtime_module *, struct wasm_byte_vec_t *);
void wasmtime_module_delete(struct wasmtime_module *);
void wasmtime_module_exports(const struct wasmtime_module *, struct wasm_exporttype_vec_t *);
void wasmtime_module_image_range(const struct wasmtime_module *, void **, void **);
void wasmtime_module_imports(const struct wasmtime_module *, struct wasm_importtype_vec_t *);

// Types.

void wasm_byte_vec_delete(struct wasm_byte_vec_t *);
void wasm_exporttype_vec_delete(struct wasm_exporttype_vec_t *);
void wasm_importtype_vec_delete(struct wasm_importtype_vec_t *);
const struct wasm_byte_vec_t *wasm_exporttype_name(const struct wasm_exporttype_t *);
const struct wasm_externtype_t *wasm_exporttype_type(const struct wasm_exporttype_t *);
const struct wasm_byte_vec_t *wasm_importtype_name(const struct wasm_importtype_t *);
const struct wasm_byte_vec_t *wasm_importtype_module(const struct wasm_importtype_t *);
uint8_t wasm_externtype_kind(const struct wasm_externtype_t *);
const struct wasm_functype_t *wasm_externtype_as_functype_const(const struct wasm_externtype_t *);
const struct wasm_valtype_vec_t *wasm_functype_params(const struct wasm_functype_t *);
const struct wasm_valtype_vec_t *wasm_functype_results(const struct wasm_functype_t *);
uint8_t wasm_valtype_kind(const struct wasm_valtype_t *);

struct wasm_valtype_t *wasm_valtype_new(uint8_t);
void wasm_valtype_vec_new(struct wasm_valtype_vec_t *, size_t, struct wasm_valtype_t *const[]);
struct wasm_functype_t *wasm_functype_new(struct wasm_valtype_vec_t *, struct wasm_valtype_vec_t *);
void wasm_functype_delete(struct wasm_functype_t *);

// Linking.

// wasmtime_func_unchecked_callback_t is a pointer to it.
typedef struct wasm_trap_t *wb_callback(void *, struct wasmtime_caller *, union wasmtime_val_raw *, size_t);

struct wasmtime_linker *wasmtime_linker_new(struct wasm_engine_t *);
void wasmtime_linker_delete(struct wasmtime_linker *);
struct wasmtime_error *wasmtime_linker_define_wasi(struct wasmtime_linker *);
struct wasmtime_error *wasmtime_linker_define_func_unchecked(struct wasmtime_linker *,
	const char *, size_t, const char *, size_t, const struct wasm_functype_t *,
	wb_callback *, void *, void (*)(void *));
struct wasmtime_error *wasmtime_linker_instantiate_pre(const struct wasmtime_linker *,
	const struct wasmtime_module *, struct wasmtime_instance_pre **);
struct wasmtime_error *wasmtime_instance_pre_instantiate(const struct wasmtime_instance_pre *,
	struct wasmtime_context *, struct wasmtime_instance *, struct wasm_trap_t **);
void wasmtime_instance_pre_delete(struct wasmtime_instance_pre *);
bool wasmtime_instance_export_get(struct wasmtime_context *, const struct wasmtime_instance *,
	const char *, size_t, struct wasmtime_extern *);

// Stores.

struct wasmtime_store *wasmtime_store_new(struct wasm_engine_t *, void *, void (*)(void *));
void wasmtime_store_delete(struct wasmtime_store *);
struct wasmtime_context *wasmtime_store_context(struct wasmtime_store *);
void wasmtime_store_limiter(struct wasmtime_store *, int64_t, int64_t, int64_t, int64_t, int64_t);
void wasmtime_store_epoch_deadline_callback(struct wasmtime_store *,
	struct wasmtime_error *(*)(struct wasmtime_context *, void *, uint64_t *, uint8_t *),
	void *, void (*)(void *));
void wasmtime_context_set_epoch_deadline(struct wasmtime_context *, uint64_t);
struct wasmtime_error *wasmtime_context_set_wasi(struct wasmtime_context *, struct wasi_config_t *);

struct wasi_config_t *wasi_config_new(void);
void wasi_config_delete(struct wasi_config_t *);
bool wasi_config_set_argv(struct wasi_config_t *, size_t, const char *[]);
bool wasi_config_preopen_dir(struct wasi_config_t *, const char *, const char *, size_t, size_t);
void wasi_config_inherit_stdin(struct wasi_config_t *);
void wasi_config_inherit_stdout(struct wasi_config_t *);
void wasi_config_inherit_stderr(struct wasi_config_t *);

// Calls.

bool wasmtime_caller_export_get(struct wasmtime_caller *, const char *, size_t,
	struct wasmtime_extern *);
struct wasmtime_context *wasmtime_caller_context(struct wasmtime_caller *);
void *wasmtime_context_get_data(const struct wasmtime_context *);
struct wasmtime_error *wasmtime_func_call_unchecked(struct wasmtime_context *,
	const struct wasmtime_func *, union wasmtime_val_raw *, size_t, struct wasm_trap_t **);
uint8_t *wasmtime_memory_data(const struct wasmtime_context *, const struct wasmtime_memory *);
size_t wasmtime_memory_data_size(const struct wasmtime_context *, const struct wasmtime_memory *);

// Errors.

struct wasmtime_error *wasmtime_error_new(const char *);
void wasmtime_error_delete(struct wasmtime_error *);
void wasmtime_error_message(const struct wasmtime_error *, struct wasm_byte_vec_t *);
bool wasmtime_error_exit_status(const struct wasmtime_error *, int *);
struct wasm_trap_t *wasmtime_trap_new(const char *, size_t);
void wasm_trap_delete(struct wasm_trap_t *);
void wasm_trap_message(const struct wasm_trap_t *, struct wasm_byte_vec_t *);

#endif
