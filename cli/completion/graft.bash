# Completion of graft for bash. Commands, options, values and settings are read from --help, so what is offered is what this graft has.

_graft_commands() { # PROGRAM
    "$1" --help 2>/dev/null | sed -n 's/^  \([a-z][a-z-]*\) .*/\1/p'
}

_graft_options() { # PROGRAM COMMAND
    "$1" "$2" --help 2>/dev/null | sed -n 's/^  \(--[a-z][a-z-]*\).*/\1/p'
}

# What stands behind an option in its help line: DIR, IN.jsonl, a|b; nothing for a flag, whose explanation is further to the right.
_graft_value_of() { # PROGRAM COMMAND OPTION
    "$1" "$2" --help 2>/dev/null | sed -n "s/^  $3 \([^ ][^ ]*\).*/\1/p"
}

_graft_settings() { # PROGRAM
    "$1" train --help 2>/dev/null | sed -n 's/^  \([a-z]*\.[a-z_0-9]*\) .*/\1=/p'
}

_graft_choices_of() { # PROGRAM SETTING
    "$1" train --help 2>/dev/null | sed -n "s/^  $2  *\([a-z0-9_]*|[a-z0-9_|]*\).*/\1/p" | tr '|' ' '
}

_graft_files() { # WORD
    compopt -o filenames
    mapfile -t COMPREPLY < <(compgen -f -- "$1")
}

_graft_folders() { # WORD
    compopt -o filenames
    mapfile -t COMPREPLY < <(compgen -d -- "$1")
}

_graft_words() { # LIST WORD
    mapfile -t COMPREPLY < <(compgen -W "$1" -- "$2")
}

_graft_value() { # PROGRAM COMMAND OPTION WORD; false: the option takes no value
    local value
    value=$(_graft_value_of "$1" "$2" "$3")
    case $value in
    '') return 1 ;;
    DIR) _graft_folders "$4" ;;
    FILE | *'|FILE' | *.jsonl | *.json | *.safetensors) _graft_files "$4" ;;
    *'|'*) _graft_words "${value//|/ }" "$4" ;;
    esac
    return 0
}

_graft_argument() { # PROGRAM COMMAND NUMBER WORD
    case $2:$3 in
    data:1) _graft_words 'show check' "$4" ;;
    train:1 | plan:1 | data:2)
        compopt -o filenames
        mapfile -t COMPREPLY < <(compgen -d -- "$4"; compgen -f -X '!*.yaml' -- "$4"; compgen -f -X '!*.yml' -- "$4")
        ;;
    train:* | plan:* | data:*)
        compopt -o nospace
        _graft_words "$(_graft_settings "$1")" "$4"
        ;;
    replay:1) _graft_folders "$4" ;;
    inspect:1) _graft_files "$4" ;;
    esac
}

# How many arguments stand before the word being completed; values of options are none.
_graft_arguments_before() { # PROGRAM COMMAND
    local i count=0 word
    for ((i = 2; i < COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        if [[ ${COMP_WORDS[i + 1]} == '=' ]]; then
            ((i + 2 >= COMP_CWORD)) || [[ $word == --* ]] || ((++count))
            ((i += 2))
        elif [[ $word != --* ]]; then
            ((++count))
        elif [[ -n $(_graft_value_of "$1" "$2" "$word") ]]; then
            ((++i))
        fi
    done
    echo "$count"
}

_graft() {
    local program=${COMP_WORDS[0]} command=${COMP_WORDS[1]} word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}
    program=${program/#\~/$HOME}
    COMPREPLY=()
    if ((COMP_CWORD == 1)); then
        _graft_words "$(_graft_commands "$program") --help --version" "$word"
        return
    fi
    local behind_equals=false
    if [[ $word == '=' ]]; then # bash takes "name=value" for three words
        behind_equals=true
        word=''
    elif [[ $before == '=' ]]; then
        behind_equals=true
        before=${COMP_WORDS[COMP_CWORD - 2]}
    fi
    if $behind_equals && [[ $before != --* ]]; then
        _graft_words "$(_graft_choices_of "$program" "$before")" "$word"
        return
    fi
    if [[ $before == --* ]] && _graft_value "$program" "$command" "$before" "$word"; then
        return
    fi
    if [[ $word == -* ]]; then
        _graft_words "$(_graft_options "$program" "$command")" "$word"
    else
        _graft_argument "$program" "$command" "$(($(_graft_arguments_before "$program" "$command") + 1))" "$word"
    fi
}

complete -F _graft graft
