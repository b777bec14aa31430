package workload

// JSON decodes an order of 1 KB, a JSON document with 8 items, into the records of its
// language and encodes these again, with the number and the sum of the items: by what
// brings JSON in the language's standard library, in C by a parser of its own. The
// right answer is the same in every language: the members in the order of the records,
// no white space, and no escape but those that JSON takes. A document that is none,
// or whose order lacks something, is refused in a line that tells where.
func JSON(l Language) *Guest {
	return &Guest{name: "json", program: "order", language: l, request: []byte(orderDocument), want: []byte(orderReceipt)}
}

// orderDocument has escapes that need be none, beside those that must be.
const orderDocument = `{
  "id": 4821307,
  "customer": {"id": 90155, "name": "Zo\u00eb Fj\u00e6r\u00e5", "email": "zoe@example.org"},
  "items": [
    {"sku": "OAK-0012", "name": "Oak lamp \"Nord\"", "quantity": 2, "cents": 12950},
    {"sku": "STL-0840", "name": "Steel shelf 80\/40", "quantity": 1, "cents": 8900},
    {"sku": "LIN-0107", "name": "Linen rug, 1 < 2 & 3 > 2", "quantity": 3, "cents": 4575},
    {"sku": "GLS-0031", "name": "Glass bowl \u2300 31 cm", "quantity": 6, "cents": 1999},
    {"sku": "CRK-0009", "name": "Cork tray", "quantity": 12, "cents": 350},
    {"sku": "WOL-0455", "name": "Wool throw \ud83d\udc11", "quantity": 1, "cents": 23900},
    {"sku": "SLT-0070", "name": "Slate clock\tmatt", "quantity": 1, "cents": 7425},
    {"sku": "BRS-0218", "name": "Brass stool \\ brushed", "quantity": 4, "cents": 15000}
  ],
  "note": "Ring the bell twice.\nLeave it in the \"porch\", not before noon\u002c please:\nthe caf\u00e9 next door takes parcels too \u2014 ask for J\u00fcrgen."
}
`

const orderReceipt = `{"id":4821307,"customer":{"id":90155,"name":"Zoë Fjærå","email":"zoe@example.org"},"items":[` +
	`{"sku":"OAK-0012","name":"Oak lamp \"Nord\"","quantity":2,"cents":12950},` +
	`{"sku":"STL-0840","name":"Steel shelf 80/40","quantity":1,"cents":8900},` +
	`{"sku":"LIN-0107","name":"Linen rug, 1 < 2 & 3 > 2","quantity":3,"cents":4575},` +
	`{"sku":"GLS-0031","name":"Glass bowl ⌀ 31 cm","quantity":6,"cents":1999},` +
	`{"sku":"CRK-0009","name":"Cork tray","quantity":12,"cents":350},` +
	`{"sku":"WOL-0455","name":"Wool throw 🐑","quantity":1,"cents":23900},` +
	`{"sku":"SLT-0070","name":"Slate clock\tmatt","quantity":1,"cents":7425},` +
	`{"sku":"BRS-0218","name":"Brass stool \\ brushed","quantity":4,"cents":15000}],` +
	`"note":"Ring the bell twice.\nLeave it in the \"porch\", not before noon, please:\nthe café next door takes parcels too — ask for Jürgen.",` +
	`"count":8,"total":156044}`
