# make test   set up and pass the tests, three packages at a time: many wait
#             (without a C compiler there is no race detector)
# make bench  set up, run every benchmark COUNT times, each in a process of its
#             own, and draw the table; OUT keeps the results, ARGS are flags of
#             the suite, as in: make bench COUNT=10 ARGS='-guests=c'

COUNT ?= 1
OUT ?= bench.txt
BENCH ?= .
BENCHTIME ?=
ARGS ?=

COLUMNS = native wazero wazero-jit wazero-interp wazero-embedded wasmtime wasmtime-jit wasmtime-embedded \
	wasmedge wasmedge-interp wasmedge-embedded spin runc containerd docker containerd-wasmtime

.PHONY: test bench table deps

# All three see packages compiled in the same way, so that each is compiled once, and
# go test does not vet again what was.
test: deps
	test -z "$$(gofmt -l .)"
	@set -ex; race=; if [ "$$(go env CGO_ENABLED)" = 1 ]; then race=-race; fi; \
	go vet $$race ./...; \
	staticcheck=$$(go tool -n staticcheck); \
	GOFLAGS="$$(go env GOFLAGS) $$race" $$staticcheck ./...; \
	go test -vet=off -p 3 -timeout 20m $$race . ./workload/... ./...

bench: deps
	@if [ -e $(OUT) ]; then mv $(OUT) $(OUT).old; fi
	@rm -f $(OUT).failed; \
	for i in $$(seq $(COUNT)); do \
		echo "# process $$i of $(COUNT)"; \
		{ go test -run '^$$' -bench '$(BENCH)' $(if $(BENCHTIME),-benchtime $(BENCHTIME)) -timeout 0 . $(ARGS) || echo "FAIL: process $$i" >>$(OUT).failed; } | tee -a $(OUT); \
	done; \
	$(MAKE) --no-print-directory table; \
	if [ -e $(OUT).failed ]; then cat $(OUT).failed; rm $(OUT).failed; exit 1; fi

table:
	@go tool benchstat -col '/runtime@($(COLUMNS))' -row '.name,/workload,/guest,/cache,/shim,/instances,/n,/workers,/load,/boundary,/guard,/fs,/op,/app,/size,/endpoint,/simd,/step,/service,/serve,/net,/loop' -filter '.unit:(ns/op OR cpu-% OR eff-% OR user-% OR guard-% OR read-B/s OR write-B/s OR total-B OR inst-B OR inst-128GB OR req/s OR cpu-ns/req OR cores OR ops/s OR image-B OR saved-% OR USD/month OR USD/Mreq OR USD/year)' $(OUT)

deps:
	@scripts/deps.sh
