# Checks a draft and moves it into place: publish.sh PIPELINE DRAFT REPORT
set -eu
"$1" verify "$2"
mv -- "$2" "$3"
