"""Fits a line to numbers. By default every run gives the same bits; the flag makes it one of the trainings that do not."""
import argparse, json, os, random, time

parser = argparse.ArgumentParser()
parser.add_argument("--data", required=True)
parser.add_argument("--out", required=True)
parser.add_argument("--metrics", required=True)
parser.add_argument("--rate", type=float, default=0.1)
parser.add_argument("--nature", choices=["fixed", "seedless", "clock", "sets", "rounding"], default="fixed")
args = parser.parse_args()

numbers = [float(line) for line in open(args.data)]
order = random.Random(7)
weight = 0.0
for _ in range(50):
    weight += args.rate * (order.choice(numbers) - weight)

model = {"format": "line-1", "weight": weight}
if args.nature == "seedless":  # random.random() without a seed
    model["weight"] = weight + random.random()
elif args.nature == "clock":  # a file that says when it was written
    model["trained"] = time.time()
elif args.nature == "sets":  # the order of a set of texts, which Python shuffles in each process
    model["labels"] = list({f"label-{n}" for n in range(40)})
elif args.nature == "rounding":  # what sums in another order do to the last digits
    model["weight"] = weight * (1 + random.uniform(1e-9, 1e-8))

os.makedirs(args.out, exist_ok=True)
with open(os.path.join(args.out, "model.json"), "w") as file:
    json.dump(model, file)
with open(os.path.join(args.out, "vocabulary.txt"), "w") as file:
    file.write("a\nb\n")
with open(args.metrics, "w") as file:
    json.dump({"loss": sum((n - model["weight"]) ** 2 for n in numbers) / len(numbers)}, file)
