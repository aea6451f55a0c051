#!/usr/bin/env bash
# Trains a tiny model of words for 20 steps on the CPU and on the GPU, both in fp32, and compares the losses.
#
#   bench/gpu/same_curve.sh MICROEMO [DEVICE]
#
# DEVICE is cuda unless given. Losses have to agree within 1e-4 relative at every step. Needs no prepared data.

set -euo pipefail
microemo=$1 device=${2:-cuda}
folder=$(mktemp -d)
trap 'rm -rf -- "$folder"' EXIT

python3 - "$folder" <<'PYTHON'
import json, pathlib, random, sys

folder, draw = pathlib.Path(sys.argv[1]), random.Random(3)
labels = ["happy", "sad", "angry", "surprised"]
with open(folder / "clips.jsonl", "w") as file:
    for clip in range(24):
        utterances = [{"start_s": 2 * i, "end_s": 2 * i + 1.5, "text": " ".join(draw.choice("one two three four five six".split()) for _ in range(6)),
                       "labels": [labels[(clip + i) % 4]]} for i in range(2)]
        file.write(json.dumps({"id": f"clip{clip}", "split": "train", "utterances": utterances}) + "\n")
PYTHON
cat > "$folder/train.yaml" <<YAML
model:
  visual: {enabled: false}
  audio: {enabled: false}
  decoder: {width: 64, layers: 2, hidden: 128, max_tokens: 256}
train:
  manifest: $folder/clips.jsonl
  tokenizer: $folder/words.model
  batch: 8
  steps: 20
  compute_dtype: fp32
  frozen_dtype: fp32
YAML
"$microemo" tokenize --train "$folder/clips.jsonl" --out "$folder/words.model" >/dev/null
"$microemo" train "$folder/train.yaml" train.device=cpu --out "$folder/cpu" --quiet >/dev/null
"$microemo" train "$folder/train.yaml" train.device="$device" --out "$folder/gpu" --quiet >/dev/null

python3 - "$folder" <<'PYTHON'
import json, pathlib, sys

def losses(run):
    return [json.loads(line)["loss"] for line in open(pathlib.Path(sys.argv[1]) / run / "metrics.jsonl")]

here, there = losses("cpu"), losses("gpu")
assert len(here) == len(there) == 20, (len(here), len(there))
worst = max(abs(a - b) / a for a, b in zip(here, there))
print(f"loss {here[0]:.4f} -> {here[-1]:.4f} on the CPU, {there[0]:.4f} -> {there[-1]:.4f} on the device; largest relative difference {worst:.1e}")
sys.exit(worst > 1e-4)
PYTHON
