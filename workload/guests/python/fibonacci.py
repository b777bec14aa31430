"""fibonacci: the request is n in decimal, the answer the nth number."""


def fib(n):
    return n if n < 2 else fib(n - 1) + fib(n - 2)


def answer(request):
    try:
        n = int(request)
    except ValueError as error:
        return str(error).encode()
    return str(fib(n)).encode()
