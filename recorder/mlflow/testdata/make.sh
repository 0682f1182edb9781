#!/bin/sh
# Makes mlruns/ and mlflow.db here with the real MLflow: make.sh PYTHON, a Python that can import mlflow (pip install mlflow), git and sqlite3's module.
# The same four runs are logged to both. The ids of runs are fixed, so that what tests expect does not change when the fixtures are made again with
# a newer MLflow.
set -eu
cd "$(dirname "$0")"
rm -rf mlruns mlflow.db
export MLFLOW_ALLOW_FILE_STORE=true GIT_PYTHON_REFRESH=quiet MLFLOW_DISABLE_TELEMETRY=true
"$1" make.py "file:$PWD/mlruns"
"$1" make.py "sqlite:///mlflow.db"
# The names of places on this machine are no part of a fixture; tables that hold nothing stay: they are the schema.
"$1" - <<'PYTHON'
import os, pathlib, sqlite3
here = os.getcwd()
for file in pathlib.Path("mlruns").rglob("meta.yaml"):
    file.write_text(file.read_text().replace(here, "/home/ada/project"))
db = sqlite3.connect("mlflow.db")
for table, column in (("experiments", "artifact_location"), ("runs", "artifact_uri")):
    db.execute(f"UPDATE {table} SET {column} = replace({column}, ?, '/home/ada/project')", (here,))
db.commit()
db.execute("PRAGMA page_size = 512")
db.execute("VACUUM")
db.close()
PYTHON
