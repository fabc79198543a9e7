"""Configuration of a domain for xl, as the daemon would build it through libxl."""


def domain_config(name, kind, image, memory_mib=64, **more):
    """`kind`: "hvm" boots `image` in place of the firmware and may be given NICs, "pvh" as its kernel."""
    values = {"name": name, "type": kind, "memory": memory_mib, "vcpus": 1, "on_crash": "preserve", "on_poweroff": "preserve"}
    if kind == "hvm":
        values |= {"firmware_override": image, "vga": "none", "nographic": 1, "serial": "null", "passthrough": "enabled"}
    else:
        values |= {"kernel": image}
    return "".join(f"{key} = {value!r}\n".replace("'", '"') for key, value in (values | more).items())
