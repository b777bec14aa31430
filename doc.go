// Package wasmbench settles with measured figures when to run code as
// WebAssembly and when in a container. It has no code of its own: its tests are
// the benchmark suite, one Benchmark for each table of the article that the
// project measures, and its packages are the library.
//
//	workload      what is run: a request, an answer that is checked, guests in C, Go, Node.js and Python
//	runtime       what runs it: Runtime, Image, Instance; one package below it for each system
//	measure       how it is measured: starts, restarts, first requests, calls, teams, files, load, distributions, meters
//	measure/load  the load generator, which drives any HTTP service
//	costmodel     what it costs: hosts, prices, total cost of ownership, the recommendation
//
// Imports run one way: workload, runtime, measure, the suite. costmodel imports none of them.
//
// The tables, where they come from and how benchstat draws them out of the
// output of
//
//	go test -run '^$' -bench . -timeout 0 . > out.txt
//
//	article                   benchmark            go tool benchstat
//	startup time by runtime   the next three       -col /runtime -row '.name,/guest' -filter '.name:(ColdStart OR WarmStart OR FirstRequest) -/cache:cold .unit:ns/op' out.txt
//	cold start                BenchmarkColdStart   -col /runtime -row '/workload,/guest,/cache' -filter .name:ColdStart out.txt
//	warm start                BenchmarkWarmStart   -col /runtime -row '/workload,/guest' -filter .name:WarmStart out.txt
//	first request             BenchmarkFirstRequest -col /runtime -row '/workload,/guest' -filter .name:FirstRequest out.txt
//	memory footprint          BenchmarkMemory      -col /runtime -row /guest -filter '.name:Memory .unit:(total-B OR pss-B OR rss-B OR vms-B OR shared-B OR private-B)' out.txt
//	memory profile            BenchmarkMemory      -col /runtime -row /guest -filter '.name:Memory .unit:/-B$/ -.unit:(rss-B OR vms-B OR shared-B OR private-B)' out.txt
//	memory scaling            BenchmarkMemoryScaling -col /runtime -row '/guest,/shim,/instances' -filter '.name:MemoryScaling .unit:(total-B OR inst-B OR base-B)' out.txt
//	isolation overhead        BenchmarkIsolation   -col /runtime -row '/guest,/boundary,/guard' -filter '.name:Isolation .unit:(ns/op OR guard-%)' out.txt
//	Fibonacci n=40            BenchmarkFibonacci   -col /runtime -row '/n,/guest' -filter .name:Fibonacci out.txt
//	multi-threaded            BenchmarkParallelSum -col /runtime -row '/workload,/guest,/workers' -filter '.name:ParallelSum .unit:(ns/op OR eff-% OR cpu-%)' out.txt
//	CPU efficiency            BenchmarkCPUEfficiency -col /runtime -row '/guest,/load' -filter '.name:CPUEfficiency .unit:/-%$/' out.txt
//	file I/O                  BenchmarkFileIO      -col /runtime -row '/guest,/fs,/op,/cache' -filter '.name:FileIO .unit:(read-B/s OR write-B/s OR p99-ns)' out.txt
//	HTTP performance          BenchmarkHTTP        -col /runtime -row '/app,/size,/guest,/serve,/net' -filter '.name:HTTP /loop:closed .unit:(req/s OR cpu-ns/req)' out.txt
//	network latency           BenchmarkHTTP        -col /runtime -row '/guest,/serve' -filter '.name:HTTP /loop:open .unit:/^p/' out.txt
//	e-commerce API            BenchmarkEcommerce   -col /runtime -row '/endpoint,/serve' -filter '.name:Ecommerce .unit:(req/s OR p99-ns)' out.txt
//	resources per 1000 req/s  BenchmarkResources   -col /runtime -row /serve -filter '.name:Resources .unit:(cores OR pss-B OR inst)' out.txt
//	scaling behavior          BenchmarkScaling     -col /runtime -row '/serve,/instances' -filter '.name:Scaling .unit:(req/s OR p50-ns OR eff-% OR degradation-% OR knee-inst)' out.txt
//	image processing          BenchmarkImageProcessing -col /runtime -row '/guest,/op,/size,/simd' -filter '.name:ImageProcessing .unit:(ops/s OR peak-B)' out.txt
//	image size, optimisation  BenchmarkImageSize   -col /step -row '/guest,/runtime' -filter '.name:ImageSize .unit:(image-B OR compressed-B OR saved-% OR ns/op OR pss-B)' out.txt
//	monthly cost              BenchmarkMonthlyCost -col /runtime -row /service -filter '.name:MonthlyCost .unit:(USD/month OR surplus-USD/month OR hosts OR USD/Mreq)' out.txt
//	total cost of ownership   BenchmarkTCO         -col /runtime -row .name -filter '.name:TCO .unit:/USD/' out.txt
//	density                   BenchmarkDensity     -col /runtime -row '/guest,/app' -filter '.name:Density .unit:(inst OR inst-128GB OR inst-B)' out.txt
//
// The article's key indicators and findings are no table of their own: they are in these.
package wasmbench
