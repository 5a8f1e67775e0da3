//go:build race

package feed

// raceEnabled: the race detector has pools drop what they hold at random.
const raceEnabled = true
