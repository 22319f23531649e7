package capacity

// What one sandbox takes.
const (
	memory           = 640 << 20
	processor        = 100
	disk             = 140 << 20
	inotifyInstances = 22
	inotifyWatches   = 440
	containers       = 33
	processes        = 500
	neighbours       = 40
	neighboursPaused = 12
	files            = 32
)

// What is kept for others.
const (
	memoryKept           = 4 << 30
	diskKept             = 2 << 30
	inotifyInstancesKept = 16
	inotifyWatchesKept   = 1024
	processesKept        = 1024
	neighboursKept       = 64
	filesKept            = 256
)
