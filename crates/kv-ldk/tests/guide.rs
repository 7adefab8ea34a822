//! The node of the guide does what the guide says.

#[expect(dead_code, reason = "its main is not called here")]
#[path = "../examples/node.rs"]
mod node;

#[tokio::test]
async fn the_node_of_the_guide_starts_again_as_itself() {
    node::live().await.unwrap();
}
