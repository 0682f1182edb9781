"""Logs four runs to the tracking store that the argument names. See make.sh."""

import math
import sys
from unittest import mock

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, RunTag

mlflow.set_tracking_uri(sys.argv[1])
client = MlflowClient()
experiment = client.create_experiment("vision")
START = 1_760_000_000_000
ids = iter(["a1" * 16, "b2" * 16, "c3" * 16, "d4" * 16])


class FixedID:
    @property
    def hex(self):
        return next(ids)


def run(start, name, tags):
    tags = {"mlflow.user": "ada", "mlflow.source.type": "LOCAL", "mlflow.source.name": "train.py", **tags}
    with mock.patch("mlflow.store.tracking.file_store.uuid.uuid4", lambda: FixedID()), mock.patch(
        "mlflow.store.tracking.sqlalchemy_store.uuid.uuid4", lambda: FixedID()
    ):
        return client.create_run(experiment, start_time=start, tags=tags, run_name=name).info.run_id


# A run that knows as much as MLflow can: image, commit, data set.
sweep = run(START, "sweep", {
    "mlflow.docker.image.uri": "registry.example/team/trainer:1.4@sha256:" + "4f" * 32,
    "mlflow.docker.image.id": "sha256:" + "c0" * 32,
    "mlflow.source.git.commit": "9fceb02" + "0" * 33, "mlflow.source.git.branch": "main",
    "mlflow.source.git.repoURL": "https://ada:hunter2secret@git.example/team/model.git",
    "mlflow.note.content": "the one for the paper", "team": "vision",
})
client.log_batch(sweep, params=[Param("lr", "0.1"), Param("epochs", "10"), Param("optimizer/name", "sgd"), Param("api_key", "sk-live-0123456789abcdef0123456789abcdef")])
client.log_batch(sweep, metrics=[Metric("loss", v, START + i, i) for i, v in enumerate([0.9, 0.5, 0.25])] + [Metric("val/acc", 1, START + 9, 2)])
client.log_inputs(sweep, [DatasetInput(Dataset("Train Set", "8f2c1a9b", "s3", '{"uri": "s3://bucket/train?X-Amz-Signature=00ff00ff"}', profile='{"num_rows": 10}'),
                                       [InputTag("mlflow.data.context", "training")])])
client.set_terminated(sweep, "FINISHED", START + 60_000)

# A nested run that failed, with values that are no numbers.
child = run(START + 1_000, "trial-1", {"mlflow.parentRunId": sweep, "mlflow.source.git.commit": "9fceb02" + "0" * 33})
client.log_batch(child, metrics=[Metric("loss", math.nan, START + 5, 1), Metric("peak", math.inf, START + 5, 1), Metric("lr", 1e-05, START + 5, 1)])
client.set_terminated(child, "FAILED", START + 30_000)

# A run that says nothing and is still running, as far as anybody knows.
run(START + 2_000, "forgotten", {})

# A run in the trash.
gone = run(START + 3_000, "gone", {})
client.set_terminated(gone, "KILLED", START + 4_000)
client.delete_run(gone)
