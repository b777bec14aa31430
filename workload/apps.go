package workload

import (
	"fmt"
	"slices"
	"strings"
)

// Apps returns the names of the workloads that stand for services of different
// working sets, the smallest in C first. The data of each are made when it is
// first asked, so at its first checked answer the whole working set is resident.
// Every language makes the same data and holds them in records of its own:
// structs, objects in JavaScript, in Python objects with slots. The sizes told
// here are those in C, whose records are of a fixed length; other languages take
// more for them. A guest refuses a request that is no number of its data in a
// line of text.
func Apps() []string { return []string{"hello", "webapi", "microservice", "dataprocessor"} }

// App returns the workload of that name, one of Apps.
func App(name string, l Language) (*Guest, error) {
	i := slices.Index(Apps(), name)
	if i < 0 {
		return nil, fmt.Errorf("workload: there is no application %q; choose one of %v", name, Apps())
	}
	return []func(Language) *Guest{Hello, WebAPI, Microservice, DataProcessor}[i](l), nil
}

// WebAPI holds a catalogue of 4096 products and answers with one as JSON. In C
// its data are an array of records of 256 bytes, 1 MiB.
func WebAPI(l Language) *Guest {
	return &Guest{name: "webapi", language: l, request: []byte("1234"), want: []byte(product(1234))}
}

// Microservice holds 32768 orders by customer and answers with what one of 4096
// customers has ordered, as JSON. In C its data are an array of records of 128
// bytes, 4 MiB, and the last order of each customer, 16 KiB; elsewhere they are a
// hash map of lists of orders.
func Microservice(l Language) *Guest {
	return &Guest{name: "microservice", language: l, request: []byte("1234"), want: []byte(summary(1234))}
}

// DataProcessor holds a batch of 4194304 numbers of 32 bits and answers with the
// sum of one of its 16 columns, which is a number in every 64 bytes of it: each
// request reads the whole batch from memory. It takes 16 MiB in every language,
// for it is one array of machine numbers in all.
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
		last = fmt.Sprintf(`{"id":%d,"day":%d,"quantity":%d,"cents":%d,"status":"%s","address":"%d %s, %s","note":"%s, %s, %s, %s"}`,
			id, id/32, quantity, cents, pick("new,paid,packed,shipped", draw(4)), 10+draw(1)%90,
			pick("Station Road,Mill Lane,High Street,Church Walk,Park Avenue,Bridge End,Castle Hill,Orchard Way", draw(1)>>8),
			pick("Ashford,Burnley,Carlisle,Dorking,Epsom,Falmouth,Grantham,Hereford", draw(1)>>16),
			pick("ring the bell,knock twice", draw(1)>>24), pick("leave it in the porch,give it to a neighbour", draw(1)>>25),
			pick("not before noon,from six onwards", draw(1)>>26), pick("gift wrapped,without a box", draw(1)>>27))
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
