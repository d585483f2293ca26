//! OpenAPI schema of an event. utoipa can't derive it, because events of unknown types are accepted as well. Only the known types are described.

use utoipa::openapi::schema::{AllOfBuilder, AnyOfBuilder, ObjectBuilder, Schema, Type};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};

use crate::Unplaced;
use crate::event::{
    Event, ProcessEnded, ProcessFolded, ProcessLogged, ProcessOverdue, ProcessProgressed, ProcessQueued, ProcessStarted, ProcessUpdated,
};
use crate::queue::{TaskFailed, TaskReceived, TaskRejected, TaskRetried, TaskRevoked, TaskSent, TaskStarted, TaskSucceeded};
use crate::task_event::{AgentDecided, BatchTaskChanged, ProcessNotified, RunMissed, RunSkipped};
use crate::worker_event::{WorkerChanged, WorkerHeartbeat, WorkerOffline, WorkerOnline};

type Named = (String, RefOr<Schema>);

/// A known event: its type, and the schema of its other fields.
struct Known {
    event_type: &'static str,
    name: String,
    collect: fn(&mut Vec<Named>),
}

fn known<T: ToSchema>(event_type: &'static str) -> Known {
    Known {
        event_type,
        name: T::name().into_owned(),
        collect: |schemas| {
            schemas.push((T::name().into_owned(), T::schema()));
            T::schemas(schemas);
        },
    }
}

fn all_known() -> [Known; 26] {
    [
        known::<ProcessQueued>("process-queued"),
        known::<ProcessStarted>("process-started"),
        known::<ProcessUpdated>("process-updated"),
        known::<ProcessProgressed>("process-progressed"),
        known::<ProcessLogged>("process-logged"),
        known::<ProcessFolded>("process-folded"),
        known::<ProcessEnded>("process-ended"),
        known::<ProcessOverdue>("process-overdue"),
        known::<ProcessNotified>("process-notified"),
        known::<TaskSent>("task-sent"),
        known::<TaskReceived>("task-received"),
        known::<TaskStarted>("task-started"),
        known::<TaskSucceeded>("task-succeeded"),
        known::<TaskFailed>("task-failed"),
        known::<TaskRejected>("task-rejected"),
        known::<TaskRevoked>("task-revoked"),
        known::<TaskRetried>("task-retried"),
        known::<WorkerOnline>("worker-online"),
        known::<WorkerHeartbeat>("worker-heartbeat"),
        known::<WorkerOffline>("worker-offline"),
        known::<WorkerChanged>("worker-lost"),
        known::<WorkerChanged>("worker-found"),
        known::<RunSkipped>("run-skipped"),
        known::<RunMissed>("run-missed"),
        known::<BatchTaskChanged>("batch-task-changed"),
        known::<AgentDecided>("agent-decided"),
    ]
}

/// Returns an object schema with the required field `type`.
fn typed(event_type: ObjectBuilder) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::Object).property("type", event_type.schema_type(Type::String)).required("type")
}

impl PartialSchema for Event {
    fn schema() -> RefOr<Schema> {
        let mut any = AnyOfBuilder::new().description(Some("An event. The server stores events of unknown types unchanged."));
        for event in all_known() {
            let event_type = ObjectBuilder::new().enum_values(Some([event.event_type]));
            any = any.item(AllOfBuilder::new().item(Ref::from_schema_name(event.name)).item(typed(event_type)));
        }
        let other = ObjectBuilder::new().pattern(Some(format!("^(?!({})$)", all_known().map(|event| event.event_type).join("|"))));
        let text = || ObjectBuilder::new().schema_type(Type::String);
        let unplaced = typed(ObjectBuilder::new().enum_values(Some(Unplaced::TYPES)))
            .property("native_source", text().description(Some("The system whose id `native_id` is, such as the address of a queue")))
            .property("native_id", text().description(Some("The id of the process in that system")))
            .required("native_source")
            .required("native_id")
            .description(Some("An event without `root_id` and `id`. The server finds the tree by the `native_id`, or waits for another event that contains both"));
        any.item(unplaced).item(typed(other).description(Some("An event of any other type"))).into()
    }
}

impl ToSchema for Event {
    fn schemas(schemas: &mut Vec<Named>) {
        for event in all_known() {
            (event.collect)(schemas);
        }
    }
}
