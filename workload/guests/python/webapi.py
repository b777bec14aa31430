"""webapi: the request is the number of a product, the answer the product as JSON."""

import json
import threading

PRODUCTS = 4096
MATERIALS = ["Oak", "Steel", "Linen", "Glass", "Cork", "Wool", "Slate", "Brass"]
THINGS = ["lamp", "chair", "shelf", "bowl", "clock", "rug", "tray", "stool"]
TAGS = ["new", "sale", "garden", "kitchen", "office", "gift", "outdoor", "bedroom"]
WORDS = "a light and sturdy piece for every room made by hand in small series with care".split()

making = threading.Lock()
catalogue = None


def scatter(n):
    n = n * 0x9E3779B1 & 0xFFFFFFFF
    n = (n ^ n >> 15) * 0x85EBCA77 & 0xFFFFFFFF
    return n ^ n >> 13


class Product:
    __slots__ = ("id", "name", "price", "stock", "tags", "description")

    def __init__(self, id):
        seed = id * 32
        tag = scatter(seed + 28)
        self.id = id
        self.name = f"{MATERIALS[scatter(seed + 24) % 8]} {THINGS[scatter(seed + 25) % 8]} {id}"
        self.price = 100 + scatter(seed + 26) % 50000
        self.stock = scatter(seed + 27) % 1000
        self.tags = [TAGS[tag % 8], TAGS[(tag + 1 + scatter(seed + 29) % 7) % 8]]
        self.description = " ".join([WORDS[scatter(seed + i) % 16] for i in range(24)])

    def as_dict(self):
        return {name: getattr(self, name) for name in self.__slots__}


def answer(request):
    global catalogue
    with making:
        if catalogue is None:
            catalogue = [Product(id) for id in range(PRODUCTS)]
    if len(request) > 9 or not request.isdigit() or int(request) >= PRODUCTS:
        return b"no such product"
    return json.dumps(catalogue[int(request)].as_dict(), separators=(",", ":")).encode()
