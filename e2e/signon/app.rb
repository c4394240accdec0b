# A stand-in for Signon with the real Doorkeeper, ActiveRecord and SQLite: the models, columns, settings and routes that
# facts about Signon name, written anew. It knows no more than that.
ENV["RAILS_ENV"] ||= "production"
require "logger"
require "rails"
require "active_support/all"
require "active_record/railtie"
require "action_controller/railtie"
require "doorkeeper"

ROOT = ENV.fetch("SIGNON_DIR")
ENV["DATABASE_URL"] = "sqlite3:#{ROOT}/signon.sqlite3?timeout=10000"

class StandIn < Rails::Application
  config.root = ROOT
  config.eager_load = false
  config.consider_all_requests_local = false
  config.secret_key_base = "0" * 64
  config.hosts.clear
  config.logger = Logger.new(File.join(ROOT, "log"))
  config.active_record.legacy_connection_handling = false if config.active_record.respond_to?(:legacy_connection_handling=)
  # Copies of a token in a log would be a leak that no test could tell from one of remint's.
  config.filter_parameters += [:token, :secret]
end

Doorkeeper.configure do
  orm :active_record
  resource_owner_authenticator { head :forbidden }
  grant_flows %w[authorization_code]
  use_refresh_token
  access_token_expires_in 2.hours
end

StandIn.initialize!
ActiveRecord::Migration.verbose = false

unless ActiveRecord::Base.connection.table_exists?(:users)
  ActiveRecord::Schema.define do
    create_table :users do |t|
      t.string :name, null: false
      t.string :email, null: false
      t.string :uid, null: false
      t.boolean :api_user, null: false, default: false
      t.datetime :suspended_at
    end
    create_table :oauth_applications do |t|
      t.string :name, null: false
      t.string :uid, null: false
      t.string :secret, null: false
      t.text :redirect_uri
      t.string :scopes, null: false, default: ""
      t.boolean :confidential, null: false, default: true
      t.boolean :retired, null: false, default: false
      t.boolean :api_only, null: false, default: false
      t.timestamps
    end
    create_table :oauth_access_grants do |t|
      t.integer :resource_owner_id, :application_id, null: false
      t.string :token, null: false
      t.integer :expires_in, null: false
      t.text :redirect_uri
      t.datetime :created_at, null: false
      t.datetime :revoked_at
      t.string :scopes
    end
    create_table :oauth_access_tokens do |t|
      t.integer :resource_owner_id, :application_id, null: false
      t.string :token, null: false
      t.string :refresh_token
      t.integer :expires_in
      t.datetime :revoked_at
      t.datetime :created_at, null: false
      t.string :scopes
    end
    add_index :oauth_access_tokens, :token, unique: true
    create_table :user_application_permissions do |t|
      t.integer :user_id, :application_id, null: false
      t.string :name, null: false
    end
    create_table :event_logs do |t|
      t.string :uid, null: false
      t.datetime :created_at, null: false
      t.integer :event_id, :initiator_id, :application_id
      t.string :trailing_message, limit: 255
    end
  end
end

class User < ActiveRecord::Base
  has_many :authorisations, -> { joins(:application) }, class_name: "Doorkeeper::AccessToken", foreign_key: :resource_owner_id
  has_many :permissions, class_name: "Permission"

  def grant_application_signin_permission(application)
    permissions.find_or_create_by!(application_id: application.id, name: "signin")
  end

  def permitted(application)
    permissions.where(application_id: application.id).pluck(:name)
  end
end

class ApiUser < User
  self.table_name = "users"
  DEFAULT_TOKEN_LIFE = 2.years.to_i
  default_scope { where(api_user: true).order(:name) }
end

class Permission < ActiveRecord::Base
  self.table_name = "user_application_permissions"
end

class EventLog < ActiveRecord::Base
  Entry = Struct.new(:id, :initiator_needed)
  ACCESS_TOKEN_GENERATED = Entry.new(29, true)
  ACCESS_TOKEN_REVOKED = Entry.new(30, true)
  ACCESS_TOKEN_AUTO_GENERATED = Entry.new(48, false)

  def self.record_event(user, event, options = {})
    raise ArgumentError, "an initiator is needed" if event.initiator_needed && options[:initiator].nil?

    create!(uid: user.uid, event_id: event.id, initiator_id: options[:initiator]&.id,
            application_id: options[:application]&.id, trailing_message: options[:trailing_message])
  end
end

class UsersController < ActionController::API
  before_action :doorkeeper_authorize!

  def show
    application = doorkeeper_token.application
    user = ApiUser.find(doorkeeper_token.resource_owner_id)
    wrong = application.nil? || params[:client_id].present? && params[:client_id] != application.uid
    return head :unauthorized if wrong || !user.permitted(application).include?("signin")

    render json: { user: { uid: user.uid, name: user.name, email: user.email, permissions: user.permitted(application),
                           organisation_slug: nil, organisation_content_id: nil, disabled: user.suspended_at.present? } }
  end
end

StandIn.routes.draw do
  use_doorkeeper { skip_controllers :applications, :authorized_applications, :token_info }
  get "/user", to: "users#show"
end

class Doorkeeper::Application
  default_scope { where(retired: false) }
end

class Doorkeeper::AccessToken
  ENDS = "datetime(oauth_access_tokens.created_at, '+' || oauth_access_tokens.expires_in || ' seconds')".freeze
  scope :not_revoked, -> { where(revoked_at: nil) }
  scope :expires_after, ->(time) { where("#{ENDS} > ?", time.utc.strftime("%F %T")) }
  scope :expires_before, ->(time) { where("#{ENDS} < ?", time.utc.strftime("%F %T")) }
  scope :ordered_by_expires_at, -> { order(Arel.sql(ENDS)) }
end
