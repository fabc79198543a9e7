"""xen_test: a whole-system test in Python, in the Xen lab; skipped with the reason where that cannot run."""

def xen_test(name, **kwargs):
    native.py_test(
        name = name,
        srcs = [name + ".py"],
        size = "enormous",
        python_version = "PY3",
        # As //test/system, and the lab wants both of a small machine's CPUs.
        tags = [
            "exclusive",
            "no-sandbox",
            "requires-network",
            "system",
            "xen",
        ],
        deps = [":xen"],
        **kwargs
    )
