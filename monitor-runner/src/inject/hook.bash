# Sourced by bash before a script, by BASH_ENV: makes its commands processes of their own. Whatever fails here, the script goes on.
if [[ -n ${MONITOR_BASH_ENV-} ]]; then
    # As bash itself expands BASH_ENV.
    eval "__monitor_own=\"${MONITOR_BASH_ENV//\"/\\\"}\""
    if [[ -r $__monitor_own ]]; then
        source "$__monitor_own"
    fi
    unset __monitor_own
fi
if [[ -n ${MONITOR_FEED-} && -p ${MONITOR_FEED-} && -n ${MONITOR_PARENT_ID-} && -z $(trap -p DEBUG) ]] && ((BASH_VERSINFO[0] >= 5)); then
    # The script may do with the variables what it likes.
    __monitor_feed=$MONITOR_FEED __monitor_reader=${MONITOR_FEED_PID-0} __monitor_root=${MONITOR_ROOT_ID-}
    __monitor_parent=$MONITOR_PARENT_ID __monitor_step= __monitor_command= __monitor_count=0 __monitor_code=0 __monitor_child=
    # Not from RANDOM, whose row of numbers is the script's.
    printf -v __monitor_prefix '%08x' $((($$ * 2654435761 + ${EPOCHREALTIME//[!0-9]/}) & 0xffffffff))

    # Ends the step before with its exit code, and begins the next one; fails when there is to be no other. $1 is what $_ was.
    __monitor_debug() {
        local code=$? end word command=$BASH_COMMAND place="${BASH_SOURCE[1]-$0}:${BASH_LINENO[0]}" children= IFS=$' \t\n'
        __monitor_under=$1
        # Nobody reads any more, or it has been enough.
        if [[ ! -p $__monitor_feed ]] || ! kill -0 "$__monitor_reader" || ((__monitor_count >= 10000)); then
            export MONITOR_PARENT_ID=$__monitor_parent
            return 1
        fi
        end=$code
        if ((code)); then
            read -r children <"/proc/$$/task/$$/children" || :
            children=${children##* }
        fi
        case $__monitor_command in
            # These only begin something.
            'for '* | 'select '* | 'case '*) end=0 ;;
            # In the middle of a pipeline the code is still that of the command before.
            *) if ((code && code == __monitor_code)) && [[ $children != "$__monitor_child" && $children != "${!-}" ]]; then end=0; fi ;;
        esac
        if [[ -n $__monitor_step ]]; then
            printf 'E\t%s\t%s\t\t\n' "$__monitor_step" "$end" 1<>"$__monitor_feed"
        fi
        __monitor_command=$command __monitor_code=$code __monitor_child=$children
        command=${command:0:300}
        for word in command place; do
            local -n text=$word
            text=${text//\\/\\\\} text=${text//$'\n'/\\n} text=${text//$'\t'/\\t} text=${text//$'\r'/\\r}
        done
        printf -v __monitor_step '%s%08x' "$__monitor_prefix" $((++__monitor_count))
        printf 'S\t%s\t%s\t%s\tscript\t%s\t%s\t\t%s\n' "$__monitor_step" "$__monitor_parent" "$__monitor_root" "$$" \
            "${place:0:600}" "$command" 1<>"$__monitor_feed"
        export MONITOR_PARENT_ID=$__monitor_step
        return 0
    }
    # What `set -x` says of it goes nowhere. A trap that is taken away within the function is back when that returns.
    trap '{ __monitor_debug "$_" || { trap - DEBUG; : "$__monitor_under"; }; } 2>/dev/null' DEBUG
fi
