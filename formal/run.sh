#!/bin/sh
# Makes every variant of suite1.pv.in and asks ProVerif 2.05 about it. Exits with 1 when an answer is not the one wanted.
#
# PROVERIF  the program, `proverif` by default       LIMIT  seconds for a variant, 900 by default
# ONLY      names of variants, all by default        OUT    a directory for the models and the whole answers
cd "$(dirname "$0")" || exit 1
PROVERIF=${PROVERIF:-proverif} LIMIT=${LIMIT:-900} OUT=${OUT:-$(mktemp -d)} failed=0
command -v "$PROVERIF" >/dev/null || { echo "run.sh: no ProVerif; set PROVERIF to the program"; exit 2; }

# name, wanted answer of every query, flags of the preprocessor
ask() {
  name=$1 want=$2
  shift 2
  [ -z "$ONLY" ] || case " $ONLY " in *" $name "*) ;; *) return ;; esac
  cpp -P -undef -nostdinc -w -x assembler-with-cpp "$@" suite1.pv.in >"$OUT/$name.pv"
  begin=$(date +%s)
  timeout "$LIMIT" "$PROVERIF" "$OUT/$name.pv" >"$OUT/$name.out" 2>&1
  answers=$(sed -n '/^Verification summary/,$p' "$OUT/$name.out" | grep -E '^(Query|Weak)' | sed -E 's/.* (is true|is false|cannot be proved)\.$/\1/' | sort -u)
  verdict=ok
  [ "$answers" = "is $want" ] || { verdict=FAIL; failed=1; }
  echo "$verdict $name: ${answers:-no answer}, wanted $want, $(($(date +%s) - begin)) s"
}

echo "--- The protocol runs to its end: 'not reachable' is false"
ask reach false -DREACH

echo "--- A. A relay that acts and does not have the code"
ask secrecy true -DSECRECY
ask auth-sender true -DAUTH_S -DNO_PAYLOAD
ask auth-receiver true -DAUTH_R -DNO_PAYLOAD
ask injective-sender true -DINJ_S -DNO_PAYLOAD
ask injective-receiver true -DINJ_R -DNO_PAYLOAD
ask profiles-sender true -DPROFILE_S -DNO_PAYLOAD
ask profiles-receiver true -DPROFILE_R -DNO_PAYLOAD
ask delivery true -DDELIVERY
ask no-guess-offline true -DWEAK -DNO_PAYLOAD
ask code-told-later true -DSECRECY -DLATER -DPHASE_PW
ask quantum-later true -DSECRECY -DLATER -DPHASE_PW -DQUANTUM_LATER
ask ml-kem-broken-later true -DSECRECY -DLATER -DPHASE_PW -DKEM_LATER
ask ml-kem-broken-now true -DSECRECY -DKEM_BROKEN
ask x25519-broken-now true -DSECRECY -DX_BROKEN

echo "--- A, with a protection removed"
ask both-broken-later false -DSECRECY -DLATER -DPHASE_PW -DKEM_LATER -DQUANTUM_LATER
ask no-identity-check false -DSECRECY -DNO_CHECK_IDENTITY
ask no-profile-in-ada false -DPROFILE_S -DNO_PAYLOAD -DNO_PROFILE_S
ask no-profile-in-adb false -DPROFILE_S -DNO_PAYLOAD -DNO_PROFILE_R

echo "--- B. A relay that has the code, and two people who compare six digits; grinding costs nothing"
B='-DPW_PUBLIC -DGRIND'
ask same-number-same-keys true $B -DSASQ -DNO_PAYLOAD
ask payload-after-comparison true $B -DSECRECY

echo "--- B, with a protection removed"
ask no-check-of-commit-s false $B -DSASQ -DNO_PAYLOAD -DCORE -DNO_CHECK_S
ask no-commit-r false $B -DSASQ -DNO_PAYLOAD -DCORE -DCLEAR_YB
ask second-m2-answered false $B -DSASQ -DNO_PAYLOAD -DCORE -DTWO_M2
ask no-commit-s true $B -DSASQ -DNO_PAYLOAD -DCORE -DCLEAR_NS
ask no-commit-s-no-check-of-commit-r false $B -DSASQ -DNO_PAYLOAD -DCORE -DCLEAR_NS -DNO_CHECK_R
ask no-check-of-commit-r true $B -DSASQ -DNO_PAYLOAD -DCORE -DNO_CHECK_R
exit $failed
