# bash completion for stillpoint: the program itself says what could come next.
_stillpoint() {
	local reply
	mapfile -t reply < <(stillpoint __complete "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
	COMPREPLY=("${reply[@]%%$'\t'*}")
}
complete -o default -F _stillpoint stillpoint
