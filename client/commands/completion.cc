// librettosctl completion bash
#include <string>

#include "absl/strings/str_cat.h"
#include "client/commands/nouns.h"

namespace librettos::ctl {
namespace {

// Words that may follow `app`'s own: its commands and options.
std::string WordsOf(CLI::App* app) {
  std::string words;
  const auto add = [&](const std::string& word) { absl::StrAppend(&words, words.empty() ? "" : " ", word); };
  for (CLI::App* command : app->get_subcommands([](CLI::App*) { return true; })) add(command->get_name());
  for (const CLI::Option* option : app->get_options()) {
    for (const std::string& name : option->get_lnames()) add("--" + name);
  }
  return words;
}

// "guest list" → its words, one case of the script for each command.
void Cases(CLI::App* app, const std::string& path, std::string& cases) {
  absl::StrAppend(&cases, "    '", path, "') words='", WordsOf(app), "' ;;\n");
  for (CLI::App* command : app->get_subcommands([](CLI::App*) { return true; })) {
    Cases(command, absl::StrCat(path, path.empty() ? "" : " ", command->get_name()), cases);
  }
}

constexpr char kHead[] = R"sh(# bash completion of librettosctl. Made by: librettosctl completion bash
_librettosctl_names() {
  local socket=()
  local i
  for ((i = 1; i < COMP_CWORD; i++)); do
    case ${COMP_WORDS[i]} in -s | --socket) socket=(-s "${COMP_WORDS[i + 1]}") ;; esac
  done
  "${COMP_WORDS[0]}" "${socket[@]}" --timeout 1s -o name "$1" list 2>/dev/null
}

_librettosctl() {
  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
  local path='' words='' named=0 i word
  COMPREPLY=()
  for ((i = 1; i < COMP_CWORD; i++)); do
    word=${COMP_WORDS[i]}
    case $word in
      --) return ;;
      -s | --socket | -o | --output | --timeout) ((i++)) ;;
      -*) ;;
      *)
        case "$path" in
          '') path=$word ;;
          *' '* | stats | version) named=1 ;;
          *) path="$path $word" ;;
        esac
        ;;
    esac
  done
  case $previous in
    -o | --output) COMPREPLY=($(compgen -W 'table wide json name' -- "$current")); return ;;
    -s | --socket | --image | --files | --netns) COMPREPLY=($(compgen -f -- "$current")); return ;;
    --restart) COMPREPLY=($(compgen -W 'always never' -- "$current")); return ;;
    --nic) COMPREPLY=($(compgen -W "$(_librettosctl_names nic)" -- "$current")); return ;;
    --server) COMPREPLY=($(compgen -W "$(_librettosctl_names server)" -- "$current")); return ;;
    --guest) COMPREPLY=($(compgen -W "$(_librettosctl_names guest)" -- "$current")); return ;;
  esac
  case "$path" in
)sh";

constexpr char kTail[] = R"sh(  esac
  if [[ $current != -* ]]; then
    case "$path" in
      *' list' | *' create' | '' | version | completion*) ;;
      'guest set-mode') if ((named)); then words='direct server'; else words=$(_librettosctl_names guest); fi ;;
      stats) ((named)) || words="$(_librettosctl_names guest) $(_librettosctl_names server)" ;;
      *' '*) if ((named)); then words=''; else words=$(_librettosctl_names "${path%% *}"); fi ;;
    esac
  else
    words="$words --socket --output --timeout --help"
  fi
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -o default -F _librettosctl librettosctl
)sh";

}  // namespace

void AddCompletionCommand(CLI::App* app, Context* context) {
  CLI::App* completion = app->add_subcommand("completion", "Print a completion script for a shell");
  completion->require_subcommand(1);
  completion->add_subcommand("bash", "For bash: source <(librettosctl completion bash)")->callback([=] {
    context->what = "completion bash";
    context->run = [=] {
      std::string cases;
      Cases(app, "", cases);
      context->io.out << kHead << cases << kTail;
      return absl::OkStatus();
    };
  });
}

}  // namespace librettos::ctl
