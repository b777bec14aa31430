"""microservice: the request is the number of a customer, the answer a summary of
the customer's orders as JSON."""

import json
import threading

ORDERS = 32768
CUSTOMERS = 4096
STATUSES = ["new", "paid", "packed", "shipped"]
STREETS = ["Station Road", "Mill Lane", "High Street", "Church Walk", "Park Avenue", "Bridge End", "Castle Hill", "Orchard Way"]
TOWNS = ["Ashford", "Burnley", "Carlisle", "Dorking", "Epsom", "Falmouth", "Grantham", "Hereford"]
CALLS = ["ring the bell", "knock twice"]
PLACES = ["leave it in the porch", "give it to a neighbour"]
TIMES = ["not before noon", "from six onwards"]
BOXES = ["gift wrapped", "without a box"]

making = threading.Lock()
book = None


def scatter(n):
    n = n * 0x9E3779B1 & 0xFFFFFFFF
    n = (n ^ n >> 15) * 0x85EBCA77 & 0xFFFFFFFF
    return n ^ n >> 13


class Order:
    __slots__ = ("id", "day", "quantity", "cents", "status", "address", "note")

    def __init__(self, id):
        seed = id * 8
        place = scatter(seed + 1)
        self.id = id
        self.day = id // 32
        self.quantity = 1 + scatter(seed + 2) % 9
        self.cents = self.quantity * (100 + scatter(seed) % 5000)
        self.status = STATUSES[scatter(seed + 4) % 4]
        self.address = f"{10 + place % 90} {STREETS[(place >> 8) % 8]}, {TOWNS[(place >> 16) % 8]}"
        self.note = f"{CALLS[(place >> 24) % 2]}, {PLACES[(place >> 25) % 2]}, {TIMES[(place >> 26) % 2]}, {BOXES[(place >> 27) % 2]}"

    def as_dict(self):
        return {name: getattr(self, name) for name in self.__slots__}


def make_book():
    book = {}
    for id in range(ORDERS):
        book.setdefault(scatter(id * 8 + 3) % CUSTOMERS, []).append(Order(id))
    return book


def answer(request):
    global book
    with making:
        if book is None:
            book = make_book()
    if len(request) > 9 or not request.isdigit() or int(request) >= CUSTOMERS:
        return b"no such customer"
    orders = book.get(int(request), [])
    summary = {
        "customer": int(request),
        "orders": len(orders),
        "total": sum(order.cents for order in orders),
        "last": orders[-1].as_dict() if orders else None,
    }
    return json.dumps(summary, separators=(",", ":")).encode()
