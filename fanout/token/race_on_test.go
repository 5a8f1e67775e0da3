//go:build race

package token

// raceEnabled: the race detector has pools drop what they hold at random.
const raceEnabled = true
