package workload

import (
	"fmt"
	"slices"
	"strings"
)

// Apps returns the names of the workloads that stand for services of different
// working sets, the smallest first. The data of each are made when it is first
// asked, so at its first checked answer the whole working set is resident; every
// language makes the same data and holds them as its authors would. A guest
// refuses a request that is no number of its data in a line of text.
func Apps() []string { return []string{"hello", "webapi", "microservice", "dataprocessor"} }

// App returns the workload of that name, one of Apps.
func App(name string, l Language) (*Guest, error) {
	i := slices.Index(Apps(), name)
	if i < 0 {
		return nil, fmt.Errorf("workload: there is no application %q; choose one of %v", name, Apps())
	}
	return []func(Language) *Guest{Hello, WebAPI, Microservice, DataProcessor}[i](l), nil
}

// WebAPI holds a catalogue of 4096 products and answers with one as JSON. Its data
// take 1 MiB in C, an array of structs; 1.3 MiB in Go with what the collector has
// not yet given back, 3 MiB in Python, 4 to 5 MiB in Node.js. With the process the
// proportional set is 1.7 MiB in C, 3.6 in Go, 12 in Python, 45 in Node.js, where
// that of hello is 0.7, 2, 9 and 37.
func WebAPI(l Language) *Guest {
	return &Guest{name: "webapi", language: l, request: []byte("1234"), want: []byte(product(1234))}
}

// Microservice holds 32768 orders by customer and answers with what one of 4096
// customers has ordered, as JSON: in C a table of 4.0 MiB, elsewhere a hash map of
// lists of orders, which takes 4 MiB in Go, 9 in Python and 14 to 16 in Node.js.
// With the process: 4.7 MiB in C, 6.3 in Go, 18 in Python, 57 in Node.js.
func Microservice(l Language) *Guest {
	return &Guest{name: "microservice", language: l, request: []byte("1234"), want: []byte(summary(1234))}
}

// DataProcessor holds a batch of 4194304 numbers of 32 bits and answers with the
// sum of one of its 16 columns, which is a number in every 64 bytes of it: each
// request reads the whole batch from memory. It takes 16 MiB in every language.
// With the process: 16.7 MiB in C, 18 in Go, 26 in Python, 60 in Node.js.
func DataProcessor(l Language) *Guest {
	return &Guest{name: "dataprocessor", language: l, request: []byte("7"), want: []byte(columnSum(7))}
}

// scatter is what the guests make their data of.
func scatter(n uint32) uint32 {
	n *= 0x9e3779b1
	n ^= n >> 15
	n *= 0x85ebca77
	return n ^ n>>13
}

// pick returns one of the words in a list that commas divide.
func pick(list string, n uint32) string {
	words := strings.Split(list, ",")
	return words[n%uint32(len(words))]
}

// product is the right answer of webapi.
func product(id uint32) string {
	draw := func(i uint32) uint32 { return scatter(id*32 + i) }
	const tags = "new,sale,garden,kitchen,office,gift,outdoor,bedroom"
	var words []string
	for i := range uint32(24) {
		words = append(words, pick("a,light,and,sturdy,piece,for,every,room,made,by,hand,in,small,series,with,care", draw(i)))
	}
	return fmt.Sprintf(`{"id":%d,"name":"%s %s %d","price":%d,"stock":%d,"tags":["%s","%s"],"description":"%s"}`, id,
		pick("Oak,Steel,Linen,Glass,Cork,Wool,Slate,Brass", draw(24)), pick("lamp,chair,shelf,bowl,clock,rug,tray,stool", draw(25)), id,
		100+draw(26)%50000, draw(27)%1000,
		pick(tags, draw(28)), pick(tags, draw(28)%8+1+draw(29)%7),
		strings.Join(words, " "))
}

// summary is the right answer of microservice.
func summary(customer uint32) string {
	var count, total uint32
	last := "null"
	for id := range uint32(32768) {
		draw := func(i uint32) uint32 { return scatter(id*8 + i) }
		if draw(3)%4096 != customer {
			continue
		}
		quantity := 1 + draw(2)%9
		cents := quantity * (100 + draw(0)%5000)
		count, total = count+1, total+cents
		last = fmt.Sprintf(`{"id":%d,"day":%d,"quantity":%d,"cents":%d,"status":"%s","address":"%d %s, %s"}`,
			id, id/32, quantity, cents, pick("new,paid,packed,shipped", draw(4)), 10+draw(1)%90,
			pick("Station Road,Mill Lane,High Street,Church Walk,Park Avenue,Bridge End,Castle Hill,Orchard Way", draw(1)>>8),
			pick("Ashford,Burnley,Carlisle,Dorking,Epsom,Falmouth,Grantham,Hereford", draw(1)>>16))
	}
	return fmt.Sprintf(`{"customer":%d,"orders":%d,"total":%d,"last":%s}`, customer, count, total, last)
}

// columnSum is the right answer of dataprocessor. The batch is 64 copies of a
// block, and the copy with the number n has n in its first row, in column n
// modulo 16: so what is computed here is the sum of one block.
func columnSum(column uint32) string {
	const columns, block, copies = 16, 65536, 64
	var sum uint64
	for i := column; i < block; i += columns {
		sum += copies * uint64(scatter(i))
	}
	for n := column; n < copies; n += columns {
		sum = sum - uint64(scatter(column)) + uint64(n)
	}
	return fmt.Sprint(sum)
}
