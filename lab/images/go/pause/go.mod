module holdfast.invalid/lab/pause

go 1.25
