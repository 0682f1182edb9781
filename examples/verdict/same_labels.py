"""Compares two models for `runpin`: exit code 0 when they have the same labels, in whatever order, and 1 when not."""
import json, os, sys

first, second = (json.load(open(os.path.join(path, "model.json"))) for path in sys.argv[1:3])
differ = sorted(set(first["labels"]) ^ set(second["labels"]))
if differ:
    sys.exit(f"only one of them has {', '.join(differ[:3])}")
print("same labels", file=sys.stderr)
