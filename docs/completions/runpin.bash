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
       "list") path="list" ;;
       "show") path="show" ;;
       "label") path="label" ;;
       "note") path="note" ;;
       "diff") path="diff" ;;
       "check") path="check" ;;
       "rerun") path="rerun" ;;
       "verify") path="verify" ;;
       "import") path="import" ;;
       "store") path="store" ;;
       "store check") path="store check" ;;
       "store backup") path="store backup" ;;
       "demo") path="demo" ;;
       "env") path="env" ;;
       "version") path="version" ;;
       "help") path="help" ;;
       "completion") path="completion" ;;
       esac ;;
    esac
  done
  case "$path" in
  "") words="record finish list show label note diff check rerun verify import store demo env version help completion --store --help --color" ;;
  "record") words="--in --image --platform --insecure-registry --job --pinned --no-stamp --code --no-code --dataset --model --param --params --output --metrics --env --name --project --parent --label --require --best-effort --id-file --json" ;;
  "finish") words="--status --exit-code --output --metric --metrics" ;;
  "list") words="--project --status --image --commit --dataset --file --output --param --metric --label --same-as --parent --since --sort --limit --quiet --json" ;;
  "show") words="--json" ;;
  "label") words="" ;;
  "note") words="" ;;
  "diff") words="--exit-code --json" ;;
  "check") words="--deep --at --insecure-registry --json" ;;
  "rerun") words="--execute --on --workdir --output --no-stamp --set --at --secret --tolerance --deep --insecure-registry --json" ;;
  "verify") words="--against --tolerance --json" ;;
  "import") words="" ;;
  "store") words="check backup" ;;
  "store check") words="--reindex --json" ;;
  "store backup") words="" ;;
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
