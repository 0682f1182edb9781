# bash completion of runpin
_runpin() {
  local cur=${COMP_WORDS[COMP_CWORD]} path= i words=
  for ((i = 1; i < COMP_CWORD; i++)); do
    case ${COMP_WORDS[i]} in
    --) COMPREPLY=($(compgen -c -f -- "$cur")); return ;;
    -*) ;;
    *) case "${path:+$path }${COMP_WORDS[i]}" in
       "record") path="record" ;;
       "finish") path="finish" ;;
       "collect") path="collect" ;;
       "list") path="list" ;;
       "show") path="show" ;;
       "label") path="label" ;;
       "note") path="note" ;;
       "diff") path="diff" ;;
       "check") path="check" ;;
       "rerun") path="rerun" ;;
       "verify") path="verify" ;;
       "pin") path="pin" ;;
       "lint") path="lint" ;;
       "import") path="import" ;;
       "import mlflow") path="import mlflow" ;;
       "serve") path="serve" ;;
       "serve token") path="serve token" ;;
       "serve token create") path="serve token create" ;;
       "serve token list") path="serve token list" ;;
       "serve token revoke") path="serve token revoke" ;;
       "store") path="store" ;;
       "store check") path="store check" ;;
       "store backup") path="store backup" ;;
       "store migrate") path="store migrate" ;;
       "demo") path="demo" ;;
       "env") path="env" ;;
       "version") path="version" ;;
       "help") path="help" ;;
       "completion") path="completion" ;;
       esac ;;
    esac
  done
  case "$path" in
  "") words="record finish collect list show label note diff check rerun verify pin lint import serve store demo env version help completion --store --help --color" ;;
  "record") words="--join --in --env-file --gpus --image --platform --insecure-registry --job --pinned --field --no-stamp --code --no-code --dataset --model --param --params --output --metrics --tolerance --compare --env --name --project --parent --pins-from --label --require --best-effort --id-file --json" ;;
  "finish") words="--status --exit-code --output --metric --pod --slurm --insecure-registry --metrics" ;;
  "collect") words="--kubeconfig --context --namespace --all-namespaces --watch --since --interval --insecure-registry --json" ;;
  "list") words="--project --status --image --commit --dataset --file --output --param --metric --label --same-as --verdict --parent --since --sort --limit --quiet --json" ;;
  "show") words="--json" ;;
  "label") words="" ;;
  "note") words="" ;;
  "diff") words="--exit-code --json" ;;
  "check") words="--all --project --since --status --fresh --summary --jobs --deep --at --relocate --insecure-registry --json" ;;
  "rerun") words="--execute --output --no-stamp --resubmit --name --set --at --relocate --secret --insecure-registry --json --on --workdir --dry-run --jobs --fail-fast --rm --tolerance --compare --deep --copy --detach --keep-job --env-file --without --overwrite-outputs --gpus --kubeconfig --context --project --same-as --parent --since --label --as --init-image --git-secret --volume --namespace --image-pull-secret --node-selector" ;;
  "verify") words="--against --tolerance --compare --run-compare-commands --kubeconfig --context --namespace --json" ;;
  "pin") words="--output --check --diff --lock --locked --platform --shape --field --any-image --verify --allow-unpinned --jobs --insecure-registry --json" ;;
  "lint") words="--preset --rule --require --fail-on --format --offline --field --any-image --jobs --insecure-registry --json" ;;
  "import") words="mlflow --json" ;;
  "import mlflow") words="--project --deleted --json" ;;
  "serve") words="token --listen --tls-cert --tls-key --behind-proxy --uploads --rate --quiet" ;;
  "serve token") words="create list revoke" ;;
  "serve token create") words="--scope --project --name --expires" ;;
  "serve token list") words="--json" ;;
  "serve token revoke") words="" ;;
  "store") words="check backup migrate" ;;
  "store check") words="--reindex --json" ;;
  "store backup") words="" ;;
  "store migrate") words="--json" ;;
  "demo") words="--keep" ;;
  "env") words="" ;;
  "version") words="--json" ;;
  "help") words="" ;;
  "completion") words="" ;;
  esac
  COMPREPLY=($(compgen -W "$words" -- "$cur"))
  [ ${#COMPREPLY[@]} -gt 0 ] || COMPREPLY=($(compgen -f -- "$cur"))
}
complete -o filenames -F _runpin runpin
