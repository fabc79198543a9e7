"""mutate.py IN OUT REMOVE PUT: copies IN to OUT with REMOVE, which must occur exactly once, replaced by PUT."""
import sys

source, target, remove, put = sys.argv[1:]
text = open(source).read()
if text.count(remove) != 1:
    sys.exit(f"{source}: {text.count(remove)} times instead of once: {remove}")
open(target, "w").write(text.replace(remove, put))
