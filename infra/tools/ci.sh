# What the scripts beside this file make of CI, to be sourced. Where it is set nothing may be left out: that is the one rule, for
# the scripts and for every test. CI=false, which some set to say that this is no CI, is made to be unset.
# shellcheck shell=bash

if [[ ${CI:-} == false ]]; then unset CI; fi
