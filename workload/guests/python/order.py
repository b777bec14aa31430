"""order: the request is an order as a JSON document, the answer the same order with
the number and the sum of its items. It is decoded into dictionaries and encoded from
these.
"""

import json


def refuse(constant):
    raise ValueError(f"{constant} is no value")


decode = json.JSONDecoder(parse_constant=refuse).decode
encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def between(value, most):
    return type(value) is int and 1 <= value <= most


def is_text(value):
    return type(value) is str and value != ""


def as_dict(value):
    return value if type(value) is dict else {}


def read(order):
    """Returns an order with what its records have and nothing else."""
    order = as_dict(order)
    customer = as_dict(order.get("customer"))
    items = order.get("items")
    note = order.get("note")
    if not between(order.get("id"), 999999999999999):
        raise ValueError("id: want an integer from 1 to 999999999999999")
    if not between(customer.get("id"), 999999999999999):
        raise ValueError("customer.id: want an integer from 1 to 999999999999999")
    if not is_text(customer.get("name")):
        raise ValueError("customer.name: want a text")
    if not is_text(customer.get("email")):
        raise ValueError("customer.email: want a text")
    if type(items) is not list or not 1 <= len(items) <= 1000:
        raise ValueError("items: want 1 to 1000")
    if note is not None and type(note) is not str:
        raise ValueError("note: want a text")
    return {
        "id": order["id"],
        "customer": {"id": customer["id"], "name": customer["name"], "email": customer["email"]},
        "items": [read_item(n, as_dict(item)) for n, item in enumerate(items)],
        "note": note or "",
    }


def read_item(n, item):
    sku, name, quantity, cents = item.get("sku"), item.get("name"), item.get("quantity"), item.get("cents")
    if not is_text(sku):
        raise ValueError(f"items[{n}].sku: want a text")
    if not is_text(name):
        raise ValueError(f"items[{n}].name: want a text")
    if not between(quantity, 10000):
        raise ValueError(f"items[{n}].quantity: want an integer from 1 to 10000")
    if not between(cents, 100000000):
        raise ValueError(f"items[{n}].cents: want an integer from 1 to 100000000")
    return {"sku": sku, "name": name, "quantity": quantity, "cents": cents}


def answer(request):
    try:
        order = read(decode(request.decode()))
        order["count"] = len(order["items"])
        order["total"] = sum([item["quantity"] * item["cents"] for item in order["items"]])
        return encode(order).encode()
    except (ValueError, RecursionError) as error:
        return f"error: {error}".encode(errors="backslashreplace")
