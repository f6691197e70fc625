//! What the compiler is asked to refuse stands as `compile_fail` examples in the documentation of `fence`, `core::io` and `net`; this
//! test holds that those examples are there.

#[test]
fn the_compiler_is_asked() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for (file, examples) in [("fence.rs", 2), ("core/io.rs", 1), ("net/mod.rs", 1)] {
        let text = std::fs::read_to_string(root.join(file)).unwrap();
        assert!(text.matches("```compile_fail").count() >= examples, "{file}");
    }
}
