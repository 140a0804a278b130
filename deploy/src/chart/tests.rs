use super::*;

fn rendered(text: &str, values: Value) -> Result<String> {
    let mut definitions = Definitions::default();
    let template = template::parse(text, &mut definitions)?;
    let root = json!({"Values": values, "Chart": {"AppVersion": "1.2"}});
    Renderer { root: &root, definitions: &definitions }.render(&template, &root)
}

#[test]
fn a_template_is_rendered_as_helm_does() {
    let values = json!({
        "name": "a", "empty": "", "zero": 0, "port": 9125, "on": true, "list": ["x", "y"],
        "map": {"b": {"c": 1}, "a": [1]},
    });
    for (text, wanted) in [
        ("name: {{ .Values.name }}\n", "name: a\n"),
        ("a\n  {{- /* nothing */ -}}\n  b", "ab"),
        ("{{ .Values.empty | default .Chart.AppVersion | quote }}", "\"1.2\""),
        ("{{ .Values.name | default 7 }} {{ .Values.port }} {{ .Values.on }}", "a 9125 true"),
        ("{{ if .Values.zero }}1{{ else if .Values.on }}2{{ else }}3{{ end }}", "2"),
        ("{{ if and .Values.on (not .Values.zero) }}yes{{ end }}", "yes"),
        ("{{ if or .Values.zero .Values.empty }}yes{{ else }}no{{ end }}", "no"),
        ("{{ if eq .Values.name \"a\" }}same{{ end }}", "same"),
        (
            "{{ with .Values.map }}{{ .b.c }}{{ $.Values.name }}{{ end }}{{ with .Values.empty }}x{{ end }}",
            "1a",
        ),
        ("{{- range .Values.list }}\n- --x={{ . }}\n{{- end }}\n", "\n- --x=x\n- --x=y\n"),
        ("m:\n  {{- toYaml .Values.map | nindent 2 }}\n", "m:\n  a:\n  - 1\n  b:\n    c: 1\n"),
        ("{{ define \"n\" }}<{{ .Values.name }}>{{ end }}{{ include \"n\" . | indent 1 }}", " <a>"),
    ] {
        assert_eq!(rendered(text, values.clone()).unwrap(), wanted, "{text}");
    }
}

#[test]
fn what_is_not_known_is_refused() {
    for (text, words) in [
        ("{{ .Values.nmae }}", "there is no nmae"),
        ("{{ .Values.map }}", "toYaml"),
        ("{{ .Values.big }}", "as it is written"),
        ("{{ .Values.none }}", "nothing is there"),
        ("{{ tpl .Values.name . }}", "no function tpl"),
        ("{{ $x := 1 }}", "variables"),
        ("{{ if .Values.name }}", "without"),
        ("{{ end }}", "without a beginning"),
        ("{{ include \"nothing\" . }}", "no template"),
        ("{{ range .Values.name }}{{ end }}", "no list"),
        ("{{ (.Values.name }}", "( without )"),
    ] {
        let values = json!({"name": "a", "map": {"a": 1}, "big": 1_000_000, "none": null});
        let error = format!("{:#}", rendered(text, values).unwrap_err());
        assert!(error.contains(words), "{text}: {error}");
    }
}

#[test]
fn values_are_joined_field_by_field() {
    let mut values = json!({"a": {"b": 1, "c": [1, 2]}, "d": 1});
    put_over(&mut values, &json!({"a": {"c": [3]}, "e": 2}));
    assert_eq!(values, json!({"a": {"b": 1, "c": [3]}, "d": 1, "e": 2}));
}
