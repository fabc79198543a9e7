"""system_test: a whole-system test in Python, as root, with network namespaces of its own."""

def system_test(name, data = [], **kwargs):
    native.py_test(
        name = name,
        size = "enormous",
        data = [":product"] + data,
        python_version = "PY3",
        # Namespaces and TAP interfaces need the real root; two at once would measure each other.
        tags = [
            "exclusive",
            "no-sandbox",
            "requires-network",
            "system",
        ],
        deps = ["//test/lib"],
        **kwargs
    )
