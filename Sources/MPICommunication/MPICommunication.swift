// MPICommunication
