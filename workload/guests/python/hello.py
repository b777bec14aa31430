"""hello: the request is a name, the answer greets it."""


def answer(request):
    return b"Hello, " + request + b"!"
