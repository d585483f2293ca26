# Sourced by bash before a script, by BASH_ENV: makes its commands processes of their own. Whatever fails here, the script goes on.
if [[ -n ${MONITOR_BASH_ENV-} && -r ${MONITOR_BASH_ENV-} ]]; then
    source "$MONITOR_BASH_ENV"
fi
if [[ -n ${MONITOR_FEED-} && -p ${MONITOR_FEED-} && -n ${MONITOR_PARENT_ID-} && -z $(trap -p DEBUG) ]] && ((BASH_VERSINFO[0] >= 5)); then
    __monitor_parent=$MONITOR_PARENT_ID __monitor_step= __monitor_count=0
    # Not from RANDOM, whose row of numbers is the script's.
    printf -v __monitor_prefix '%08x' $((($$ * 2654435761 + ${EPOCHREALTIME//[!0-9]/}) & 0xffffffff))

    # Ends the step before with its exit code, and begins the next one.
    __monitor_debug() {
        local code=$? command=$BASH_COMMAND IFS=$' \t\n'
        # Nobody reads any more, or it has been enough.
        if [[ ! -p $MONITOR_FEED ]] || ! kill -0 "$MONITOR_FEED_PID" || ((__monitor_count >= 10000)); then
            trap - DEBUG
            export MONITOR_PARENT_ID=$__monitor_parent
            return 0
        fi
        command=${command:0:300} command=${command//\\/\\\\} command=${command//$'\n'/\\n} command=${command//$'\t'/\\t}
        if [[ -n $__monitor_step ]]; then
            printf 'E\t%s\t%s\t\t\n' "$__monitor_step" "$code" 1<>"$MONITOR_FEED"
        fi
        printf -v __monitor_step '%s%08x' "$__monitor_prefix" $((++__monitor_count))
        printf 'S\t%s\t%s\t%s\tscript\t%s\t%s\t\t%s\n' "$__monitor_step" "$__monitor_parent" "$MONITOR_ROOT_ID" "$$" \
            "${BASH_SOURCE[1]-$0}:${BASH_LINENO[0]}" "$command" 1<>"$MONITOR_FEED"
        export MONITOR_PARENT_ID=$__monitor_step
        return 0
    }
    # Its argument is what $_ is again afterwards; what `set -x` says of it goes nowhere.
    trap '{ __monitor_debug "$_"; } 2>/dev/null' DEBUG
fi
