package lint

import (
	"net/url"
	"path/filepath"
	"strings"
)

// SARIF 2.1.0 (OASIS), as far as it is needed here.
type sarifLog struct {
	Schema  string     `json:"$schema"`
	Version string     `json:"version"`
	Runs    []sarifRun `json:"runs"`
}

type sarifRun struct {
	Tool       sarifTool     `json:"tool"`
	ColumnKind string        `json:"columnKind"`
	Results    []sarifResult `json:"results"`
}

type sarifTool struct {
	Driver sarifDriver `json:"driver"`
}

type sarifDriver struct {
	Name           string      `json:"name"`
	Version        string      `json:"version,omitempty"`
	InformationURI string      `json:"informationUri"`
	Rules          []sarifRule `json:"rules"`
}

type sarifRule struct {
	ID                   string      `json:"id"`
	ShortDescription     sarifText   `json:"shortDescription"`
	Help                 sarifText   `json:"help"`
	DefaultConfiguration sarifConfig `json:"defaultConfiguration"`
}

type sarifConfig struct {
	Enabled bool   `json:"enabled"`
	Level   string `json:"level"`
}

type sarifText struct {
	Text string `json:"text"`
}

type sarifResult struct {
	RuleID       string             `json:"ruleId"`
	RuleIndex    int                `json:"ruleIndex"`
	Level        string             `json:"level"`
	Message      sarifText          `json:"message"`
	Locations    []sarifLocation    `json:"locations"`
	Suppressions []sarifSuppression `json:"suppressions,omitempty"`
}

type sarifSuppression struct {
	Kind          string `json:"kind"`
	Justification string `json:"justification"`
}

type sarifLocation struct {
	PhysicalLocation sarifPhysical  `json:"physicalLocation"`
	LogicalLocations []sarifLogical `json:"logicalLocations,omitempty"`
}

type sarifLogical struct {
	FullyQualifiedName string `json:"fullyQualifiedName"`
}

type sarifPhysical struct {
	ArtifactLocation sarifArtifact `json:"artifactLocation"`
	Region           sarifRegion   `json:"region"`
}

type sarifArtifact struct {
	URI string `json:"uri"`
}

type sarifRegion struct {
	StartLine   int `json:"startLine"`
	StartColumn int `json:"startColumn,omitempty"`
	EndColumn   int `json:"endColumn,omitempty"`
}

// SARIF gives the findings as a SARIF 2.1.0 log, to be printed as JSON. An ignored finding is a suppressed result.
func SARIF(r Result, config Config, version string) any {
	run := sarifRun{Tool: sarifTool{sarifDriver{Name: "runpin", Version: version, InformationURI: "https://github.com/runpin/runpin", Rules: []sarifRule{}}}, ColumnKind: "unicodeCodePoints", Results: []sarifResult{}}
	index := map[string]int{}
	for i, rule := range Rules {
		index[rule.ID] = i
		s := config.Severity(rule.ID)
		run.Tool.Driver.Rules = append(run.Tool.Driver.Rules, sarifRule{rule.ID, sarifText{capital(rule.Says) + "."}, sarifText{capital(rule.Remedy) + "."}, sarifConfig{s != Off, level(s)}})
	}
	for _, f := range r.Findings {
		result := sarifResult{RuleID: f.Rule, RuleIndex: index[f.Rule], Level: level(f.Severity), Message: sarifText{f.Message}}
		at := sarifLocation{PhysicalLocation: sarifPhysical{sarifArtifact{uriOf(f.File)}, sarifRegion{StartLine: max(f.Line, 1), StartColumn: f.Column}}}
		if f.Column > 0 && f.EndColumn > f.Column {
			at.PhysicalLocation.Region.EndColumn = f.EndColumn
		}
		if f.Field != "" {
			at.LogicalLocations = []sarifLogical{{f.Field}}
		}
		result.Locations = []sarifLocation{at}
		if f.Ignored != "" {
			result.Suppressions = []sarifSuppression{{"inSource", f.Ignored}}
		}
		run.Results = append(run.Results, result)
	}
	return sarifLog{"https://json.schemastore.org/sarif-2.1.0.json", "2.1.0", []sarifRun{run}}
}

func level(s Severity) string {
	if s == Off {
		return "none"
	}
	return string(s)
}

func capital(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

// uriOf gives a relative reference for a relative path, as code scanners want it.
func uriOf(file string) string {
	path := filepath.ToSlash(filepath.Clean(file))
	if filepath.IsAbs(file) {
		return (&url.URL{Scheme: "file", Path: path}).String()
	}
	return (&url.URL{Path: path}).String()
}
