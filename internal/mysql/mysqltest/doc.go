// Package mysqltest starts real servers for the tests of internal/mysql and its
// rooms: MariaDB and Oracle's MySQL, each on a socket and in a directory of its
// own, with a small database and the minimal user; and what tests do to them, by
// connections of root's.
//
// It stands on the lowest rooms alone, so that all others can use it; a test of
// those is in a package of its own (wire_test). A server takes seconds to start and
// half a core: tests of one package share one where they can, by subtests.
package mysqltest
