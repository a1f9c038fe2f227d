package look

import "testing"

func TestReads(t *testing.T) {
	for statement, want := range map[string]bool{
		"SELECT 1":                                   true,
		"  ( select * from t )":                      true,
		"/* trace */ -- x\n# y\nSELECT a FROM t":     true,
		"SELECT /*!40001 SQL_NO_CACHE */ * FROM `t`": true,
		"SELECT 'for update', \"UPDATE\", `update`":  true,
		"SELECT 'it''s \\' update'":                  true,
		"SELECT * FROM t LOCK IN SHARE MODE":         true,
		"WITH c AS (SELECT 1) SELECT * FROM c":       true,
		"DO SLEEP(1)":                                true,
		"SELECT * FROM t FOR UPDATE":                 false,
		"SELECT * FROM t FOR /* */ update":           false,
		"/*!50000 UPDATE t SET a = 1 */":             false,
		"WITH c AS (SELECT 1) DELETE FROM t":         false,
		"UPDATE t SET a = 1":                         false,
		"SET STATEMENT x = 1 FOR UPDATE t SET a = 1": false,
		"CREATE TABLE x SELECT * FROM t":             false,
		"ALTER TABLE t ADD b INT":                    false,
		"SELECTED":                                   false,
		"/* SELECT":                                  false,
		"":                                           false,
		"'SELECT'":                                   false,
	} {
		if got := reads(statement); got != want {
			t.Errorf("%s: %v", statement, got)
		}
	}
}
