//! Real clusters of Celery on Redis and RabbitMQ: recorded, controlled, killed, and attacked.

mod checked;
mod cluster;
mod commands;
mod flower;
mod gaps;
mod hook;
mod hostile;
mod moves;
mod queues;
mod recorded;
