// Package mlflow answers one question: what does MLflow know of a run?
//
// It reads the three forms in which MLflow keeps runs: a directory (filestore.go: mlruns/), an SQLite database (database.go: mlflow.db) and a
// tracking server (server.go). None is ever written to. [Open] gives a whole history, which convert.go turns into documents for `runpin import
// mlflow`; [Tracker] finds the runs that one command logged, by the tag runpin.run_id that MLflow's own client took from MLFLOW_RUN_CONTEXT.
//
// What is read was written by others: files, rows and answers are bounded, links do not lead out of the directory, and what holds a secret is
// withheld. MLflow's formats are described in mlflow/store/tracking/{file_store,dbmodels/models}.py and mlflow/protos/service.proto of
// github.com/mlflow/mlflow.
//
// It imports schema, recorder (its ports), recorder/redact, a YAML parser and an SQLite driver. Start reading at history.go.
package mlflow
