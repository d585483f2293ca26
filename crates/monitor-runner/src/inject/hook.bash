# Sourced by bash before a script (BASH_ENV). Records each command of the script as a process. The script continues if anything here fails.
if [[ -n ${MONITOR_BASH_ENV-} ]]; then
    # Expand the value as bash expands BASH_ENV.
    eval "__monitor_own=\"${MONITOR_BASH_ENV//\"/\\\"}\""
    if [[ -r $__monitor_own ]]; then
        source "$__monitor_own"
    fi
    unset __monitor_own
fi
if [[ -n ${MONITOR_FEED-} && -p ${MONITOR_FEED-} && -n ${MONITOR_PARENT_ID-} && -z $(trap -p DEBUG) ]] && ((BASH_VERSINFO[0] >= 5)); then
    # Copy the variables, because the script may change them.
    __monitor_feed=$MONITOR_FEED __monitor_reader=${MONITOR_FEED_PID-0} __monitor_root=${MONITOR_ROOT_ID-}
    __monitor_parent=$MONITOR_PARENT_ID __monitor_step= __monitor_command= __monitor_count=0 __monitor_code=0 __monitor_child=
    # All folded commands have MONITOR_PARENT_ID set to the script above. A script started by a folded command finds its own parent in
    # MONITOR_STEP.
    if [[ ${MONITOR_STEP-} == "$MONITOR_PARENT_ID":* ]]; then
        __monitor_parent=${MONITOR_STEP#*:}
    fi
    __monitor_above=$MONITOR_PARENT_ID __monitor_folds=${MONITOR_FEED_FOLDS:-100} __monitor_line=0 __monitor_has_err=0
    declare -A __monitor_seen=()
    # Text of the script's EXIT trap, the line where it was set, and the number of its commands that have run.
    __monitor_exit= __monitor_exit_line=0 __monitor_exiting=0
    # Not from RANDOM, because reading it would change the sequence that the script sees.
    printf -v __monitor_prefix '%08x' $((($$ * 2654435761 + ${EPOCHREALTIME//[!0-9]/}) & 0xffffffff))

    # Sets `command` to the next command of the EXIT trap, because BASH_COMMAND still contains the last command before the trap. If the text
    # is more than a sequence of simple commands, `command` is the whole text. $1 is the value of $-.
    __monitor_exit_command() {
        local piece quotes IFS=$';\n'
        command=$__monitor_exit
        set -f
        local pieces=($__monitor_exit)
        [[ $1 != *f* ]] && set +f
        for piece in "${pieces[@]}"; do
            quotes=${piece//[!\'\"]/}
            if [[ $piece == *[\|\&\(\)\{\}\\]* || ${quotes//\'\'/} == *\'* || ${quotes//\"\"/} == *\"* ]] ||
                [[ $piece =~ ^[[:space:]]*(if|then|elif|else|fi|for|while|until|do|done|case|esac|select|function|time|!)([[:space:]]|$) ]]; then
                return
            fi
        done
        if ((__monitor_exiting <= ${#pieces[@]})); then
            command=${pieces[__monitor_exiting - 1]}
            command=${command#"${command%%[![:space:]]*}"}
        fi
    }

    # Ends the previous step with its exit code and starts the next step. Fails if no further steps are recorded. $1 is the value of $_.
    __monitor_debug() {
        local code=$? why= end word lines command=$BASH_COMMAND place=${BASH_SOURCE[1]-$0} line=${BASH_LINENO[0]} children= IFS=$' \t\n'
        __monitor_under=$1
        # The reader has ended, or the limit of steps is reached.
        if [[ ! -p $__monitor_feed ]] || ! kill -0 "$__monitor_reader" || ((__monitor_count >= 10000)); then
            export MONITOR_PARENT_ID=$__monitor_above
            unset MONITOR_STEP
            return 1
        fi
        # Bash calls the ERR trap for a failed command, but not for a condition.
        if declare -F __monitor_failed >/dev/null; then
            unset -f __monitor_failed
        elif ((__monitor_has_err)); then
            why=condition
        fi
        end=$code
        if ((code)); then
            read -r children <"/proc/$$/task/$$/children" || :
            children=${children##* }
        fi
        case $__monitor_command in
            # These only start a loop or a selection.
            'for '* | 'select '* | 'case '*) end=0 ;;
            # In the middle of a pipeline, the code is still that of the previous command.
            *) if ((code && code == __monitor_code)) && [[ $children != "$__monitor_child" && $children != "${!-}" ]]; then end=0; fi ;;
        esac
        case $__monitor_command in
            '['* | '(('* | 'test '*) why=condition ;;
            # The shell exits before the ERR trap would be called.
            exit | 'exit '*) why= ;;
            'trap '*)
                if [[ $__monitor_command == *ERR* ]]; then
                    __monitor_has_err=0
                fi
                if [[ $__monitor_command == *@(EXIT|0)* ]]; then
                    word=$(trap -p EXIT)
                    eval "__monitor_exit=(${word#trap -- })"
                    __monitor_exit=${__monitor_exit[0]-} __monitor_exit_line=$__monitor_line
                fi
                ;;
        esac
        if [[ -n $__monitor_step ]]; then
            printf 'E\t%s\t%s\t%s\t\n' "$__monitor_step" "$end" "$why" 1<>"$__monitor_feed"
        fi
        if [[ -n $__monitor_exit ]]; then
            # Lines of a trap are counted from the first line of its text.
            lines=${__monitor_exit//[!$'\n']/}
            lines=$((${#lines} + 1))
            if ((__monitor_exiting || (line <= lines && __monitor_exit_line > lines))) || [[ $__monitor_command == exit?( *) ]]; then
                ((++__monitor_exiting))
                __monitor_exit_command "$-"
                line=EXIT
            fi
        fi
        __monitor_command=$command __monitor_code=$code __monitor_child=$children __monitor_line=$line
        command=${command:0:300} place=$place:$line
        for word in command place; do
            local -n text=$word
            text=${text//\\/\\\\} text=${text//$'\n'/\\n} text=${text//$'\t'/\\t} text=${text//$'\r'/\\r}
        done
        printf -v __monitor_step '%s%08x' "$__monitor_prefix" $((++__monitor_count))
        printf 'S\t%s\t%s\t%s\tscript\t%s\t%s\t\t%s\n' "$__monitor_step" "$__monitor_parent" "$__monitor_root" "$$" \
            "${place:0:600}" "$command" 1<>"$__monitor_feed"
        if ((__monitor_exiting)); then
            # The exit code of the script is not the outcome of these steps.
            printf 'N\t%s\n' "$__monitor_step" 1<>"$__monitor_feed"
        fi
        # Commands beyond the limit are folded and have no ids for other processes. The key is prefixed, because arithmetic would expand the
        # text again.
        word=${__monitor_seen["x$command"]-0}
        __monitor_seen["x$command"]=$((word + 1))
        if ((word >= __monitor_folds)); then
            export MONITOR_PARENT_ID=$__monitor_above MONITOR_STEP=$__monitor_above:$__monitor_step
        else
            export MONITOR_PARENT_ID=$__monitor_step
            unset MONITOR_STEP
        fi
        return 0
    }
    if [[ -z $(trap -p ERR) ]]; then
        # A function definition does not count as a command: it triggers no DEBUG trap and leaves $_ unchanged.
        __monitor_has_err=1
        trap '__monitor_failed() { :; }' ERR
    fi
    # Output of `set -x` is discarded. A trap that is removed inside the function would be restored on return, so it is removed here.
    trap '{ __monitor_debug "$_" || { trap - DEBUG; ((__monitor_has_err)) && trap - ERR; : "$__monitor_under"; }; } 2>/dev/null' DEBUG
fi
