# Debian packages unpacked into a folder, for the scripts beside this one; nothing is installed. Needs apt-get and dpkg-deb.

# debs INTO PACKAGE...: unpacks those of the packages that this system's release offers; the first must be among them. What
# cannot be fetched is tried again, after an update of apt's lists where that is allowed.
debs() {
  local into=$1 first=$2 fetched package try
  shift
  fetched=$(mktemp -d)
  for try in 1 2 3; do
    # What can be fetched by name; a package that is only installed is not listed.
    local offered=($(apt-cache madison "$@" 2>/dev/null | awk '$NF == "Packages" { print $1 }' | sort -u))
    if [[ " ${offered[*]} " = *" $first "* ]] &&
      (cd "$fetched" && apt-get download -qq -o Acquire::Retries=5 "${offered[@]}" >log 2>&1); then
      for package in "$fetched"/*.deb; do dpkg-deb -x "$package" "$into"; done
      ls "$fetched" | grep "^${first}_"
      rm -rf "$fetched"
      return
    fi
    if [ "$(id -u)" = 0 ]; then apt-get update -qq >/dev/null 2>&1 || true; fi
    sleep "$try"
  done
  echo "apt cannot fetch $first (run apt-get update first?): $(cat "$fetched/log" 2>/dev/null)" >&2
  rm -rf "$fetched"
  return 1
}
