# fish completion for stillpoint: the program itself says what could come next.
complete -c stillpoint -f -a '(stillpoint __complete (commandline -opc)[2..] (commandline -ct) 2>/dev/null)'
complete -c stillpoint -l config -rF
